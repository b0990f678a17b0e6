//! The version and feature handshake that opens every link.
//!
//! The first message of each direction carries [`Versions`] and a list of features, in a form that no later
//! version changes. The version of a link is the highest that both sides speak; where there is none the link ends
//! with a reason. A feature is used only if both sides named it.

use serde::{Deserialize, Serialize};

/// The versions of one link that a side speaks, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Oldest version spoken.
    pub min: u16,
    /// Newest version spoken.
    pub max: u16,
}

impl Versions {
    /// What this build speaks, on every link.
    pub const OURS: Self = Self { min: 1, max: 1 };

    /// The version to speak with the other side.
    ///
    /// # Errors
    ///
    /// [`VersionError`] where no version is spoken by both.
    pub fn agree(self, theirs: Self) -> Result<u16, VersionError> {
        let version = self.max.min(theirs.max);
        if version >= self.min && version >= theirs.min {
            Ok(version)
        } else {
            Err(VersionError { ours: self, theirs })
        }
    }
}

/// Two sides have no version in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this program speaks versions {} to {} of the protocol and the other one {} to {}: update the {} one",
    .ours.min, .ours.max, .theirs.min, .theirs.max,
    if .ours.max < .theirs.min { "first" } else { "second" }
)]
pub struct VersionError {
    /// What this side speaks.
    pub ours: Versions,
    /// What the other side speaks.
    pub theirs: Versions,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_version_is_spoken() {
        let v = |min, max| Versions { min, max };
        assert_eq!(v(1, 3).agree(v(2, 5)), Ok(3));
        assert_eq!(v(2, 5).agree(v(1, 3)), Ok(3));
        assert!(v(1, 2).agree(v(3, 4)).is_err());
        assert!(v(3, 4).agree(v(1, 2)).is_err());
    }
}
