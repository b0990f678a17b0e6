//! The core without sockets, fed with events: who is trusted with what, and what a full disk does.

mod bench;
mod bookmarks;
mod consent;
mod knocks;
mod pins;
mod regressions;
mod setback;
