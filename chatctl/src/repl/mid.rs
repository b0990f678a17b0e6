//! Makes identities of messages, where their text is born.

use std::time::{SystemTime, UNIX_EPOCH};

use proto::ids::{Mid, WallMs};

/// A new identity: the clock and 80 random bits.
pub fn fresh() -> Mid {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Mid::from_parts(WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)), rand::random())
}
