//! The library behind the two daemons, `chatd` and `lobbyd`.
//!
//! | module | holds |
//! | --- | --- |
//! | [`identity`] | the key pair that says who a daemon or a lobby is |
//! | [`link`] | encrypted streams between two keys, and typed messages on them |

pub mod identity;
pub mod link;
