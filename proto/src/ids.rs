//! One newtype per identifier. Binary ones travel as base64url without padding.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A byte identifier was not base64url of the right length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {len} bytes as base64url without padding")]
pub struct IdError {
    /// The kind of identifier.
    pub what: &'static str,
    /// Its length in bytes.
    pub len: usize,
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// Reads the base64url form.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let error = IdError { what: stringify!($name), len: $len };
                let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| error.clone())?;
                Self::from_slice(&bytes).ok_or(error)
            }

            /// Takes exactly [`Self::LEN`] bytes; `None` for any other length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&BASE64URL_NOPAD.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(de::Error::custom)
            }
        }
    };
}

byte_id! {
    /// Ed25519 public key: who somebody is, whatever they are called.
    Key, 32
}
byte_id! {
    /// Identity of one message, made where its text is born: 48 bits of milliseconds, 80 random bits.
    ///
    /// The only idempotency key in the system: a message sent again under the same `Mid` is the same message.
    Mid, 16
}
byte_id! {
    /// One run of a daemon. Random at every start, in memory only: it orders nothing.
    Instance, 16
}
byte_id! {
    /// Ed25519 signature of what an author said in a lobby, over [`crate::lobby::signed_bytes`].
    Signature, 64
}
byte_id! {
    /// Hash over one author's entries up to a position. Equal chains mean equal prefixes.
    Chain, 32
}
byte_id! {
    /// The random half of an [`Epoch`].
    EpochTag, 8
}
byte_id! {
    /// One life of a lobby's log; another generation has another numbering.
    Generation, 16
}

impl Mid {
    /// Puts a message id together from a wall clock and 80 random bits.
    pub fn from_parts(at: WallMs, random: [u8; 10]) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&at.0.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        Self(bytes)
    }
}

/// Largest position and clock on any wire: what the store can hold.
const MAX_STORED: u64 = i64::MAX as u64;

/// Reads an integer that the store can hold, so that none from outside fails there or overflows when counted on.
fn stored_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = u64::deserialize(deserializer)?;
    if value > MAX_STORED {
        return Err(de::Error::custom(format_args!("{value} is over the limit of {MAX_STORED}")));
    }
    Ok(value)
}

/// Position in one local log. The first entry has 1; [`Seq::START`] stands before it. Never repeats, never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(#[serde(deserialize_with = "stored_integer")] pub u64);

impl Seq {
    /// Before the first entry.
    pub const START: Self = Self(0);
    /// After every entry there will ever be (SQLite's largest integer).
    pub const END: Self = Self(MAX_STORED);

    /// The next position.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Position among one author's own entries in one session, from 1 without a hole; [`Pos::START`] stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pos(#[serde(deserialize_with = "stored_integer")] pub u64);

impl Pos {
    /// Before the first entry.
    pub const START: Self = Self(0);

    /// The next position.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The position before; [`Pos::START`] is its own.
    #[must_use]
    pub fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// Position in the lobby's own log, as the lobby counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LobbySeq(#[serde(deserialize_with = "stored_integer")] pub u64);

impl LobbySeq {
    /// Before the first entry.
    pub const START: Self = Self(0);

    /// The next position.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Number of a session in one daemon, as a person types it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionNo(pub u32);

impl SessionNo {
    /// The lobby.
    pub const LOBBY: Self = Self(0);
}

impl fmt::Display for SessionNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A wall clock in milliseconds since 1970, UTC. For show only: no order depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallMs(#[serde(deserialize_with = "stored_integer")] pub u64);

/// The name of one numbering of an author's entries. Changed only when the author's list was forked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// Counts forks, from 1.
    pub n: u32,
    /// Tells two epochs of the same count apart.
    pub r: EpochTag,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_ids_travel_as_base64url() {
        let mid = Mid::from_parts(WallMs(0x0102_0304_0506), [0xff; 10]);
        let json = serde_json::to_string(&mid).expect("serializes");
        assert_eq!(json, "\"AQIDBAUG_____________w\"");
        assert_eq!(serde_json::from_str::<Mid>(&json).expect("reads back"), mid);
    }

    #[test]
    fn integers_that_the_store_cannot_hold_are_refused() {
        assert_eq!(serde_json::from_str::<Seq>("9223372036854775807").expect("the largest"), Seq::END);
        for text in ["9223372036854775808", "18446744073709551615", "-1", "1.0"] {
            assert!(serde_json::from_str::<Seq>(text).is_err(), "{text}");
            assert!(serde_json::from_str::<Pos>(text).is_err(), "{text}");
            assert!(serde_json::from_str::<LobbySeq>(text).is_err(), "{text}");
            assert!(serde_json::from_str::<WallMs>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn byte_ids_of_another_length_are_refused() {
        let error = serde_json::from_str::<Key>("\"AQID\"").expect_err("too short");
        assert!(error.to_string().contains("Key must be 32 bytes"), "{error}");
    }
}
