//! The library behind the two daemons, `chatd` and `lobbyd`.
//!
//! | module | holds |
//! | --- | --- |
//! | [`app`] | `chatd` put together: folders, sockets, tasks, and the order in which they start and stop |
//! | [`cli`] | the command line of `chatd` |
//! | [`daemon`] | the core: one thread that owns all state, events in and effects out |
//! | [`session`] | logs in memory, numbers of sessions |
//! | [`peer`] | the state machine of a private session, and the sockets to peers |
//! | [`uplink`] | the link to the lobby, and hosting it where nobody does |
//! | [`ipc`] | the local socket for clients |
//! | [`store`] | the embedded database |
//! | [`identity`] | the key pair that says who a daemon or a lobby is |
//! | [`joined`] | the lobby that an invitation led to |
//! | [`link`] | encrypted streams between two keys, and typed messages on them |
//! | [`lobby`] | the server side of the lobby, run by `lobbyd` or by a daemon that hosts it |
//! | [`dirs`], [`logs`], [`detach`], [`notify`] | folders, log files, going to the background, the service manager |

pub mod app;
pub mod cli;
pub mod daemon;
pub mod detach;
pub mod dirs;
pub mod identity;
pub mod ipc;
pub mod joined;
pub mod link;
pub mod lobby;
pub mod logs;
pub mod notify;
pub mod peer;
pub mod session;
pub mod store;
pub mod uplink;
