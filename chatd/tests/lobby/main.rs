//! The lobby over real TLS sockets, with typed fake members.

mod daemon;
mod durable;
mod harness;
mod invitations;
mod load;
mod log;
mod members;
mod operators;
mod wire;
