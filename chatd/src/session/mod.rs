//! The sessions of a daemon: their logs, and the numbers by which a person calls them.

mod log;
mod numbers;

pub use log::Log;
pub use numbers::lowest_free;
