//! The library behind the two daemons, `chatd` and `lobbyd`.
//!
//! | module | holds |
//! | --- | --- |
//! | [`identity`] | the key pair that says who a daemon or a lobby is |
//! | [`link`] | encrypted streams between two keys, and typed messages on them |
//! | [`lobby`] | the server side of the lobby, for `lobbyd` and for a daemon that hosts it |

pub mod identity;
pub mod link;
pub mod lobby;
