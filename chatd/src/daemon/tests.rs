//! The core without sockets, fed with events: who is trusted with what.

mod bench;
mod bookmarks;
mod consent;
mod pins;
mod regressions;
