//! Who a daemon or a lobby is: one Ed25519 key pair, kept in one file.

mod code;
mod file;
mod post;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::BASE64_NOPAD;
use proto::ids::Key;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;

use crate::link::tls::Configs;

pub use code::code;
pub use post::is_genuine;

/// An Ed25519 key pair with the TLS settings made from it. `Debug` shows the public key only.
pub struct Identity {
    key: Key,
    pair: Ed25519KeyPair,
    configs: Configs,
}

/// Why there is no identity to run under.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The folder or the key file could not be read or written.
    #[error("cannot {act} {}: {source}", path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Others on this machine can read or write the key.
    #[error(
        "permissions {mode:04o} for {} are too open: a private key must not be accessible by others. \
         Run: chmod 600 {}", path.display(), path.display()
    )]
    TooOpen {
        /// The key file.
        path: PathBuf,
        /// Its mode, permission bits only.
        mode: u32,
    },
    /// The file does not hold an Ed25519 key in PKCS#8.
    #[error("{} does not hold a key of this program (PKCS#8, Ed25519)", path.display())]
    NotAKey {
        /// The key file.
        path: PathBuf,
    },
    /// The system gave no random bytes, or the fresh key was refused.
    #[error("no key could be made: the system's source of randomness failed")]
    Generate,
}

impl Identity {
    /// Reads the key from the file `key` in `dir`; where there is none, makes one and puts it there.
    ///
    /// The folder is created if need be and made accessible to its owner only. Two processes that get here at the
    /// same time end up with the same key.
    pub fn load_or_create(dir: &Path) -> Result<Self, IdentityError> {
        let (path, pkcs8) = file::load_or_create(dir, generate)?;
        Self::from_pkcs8(&pkcs8).ok_or(IdentityError::NotAKey { path })
    }

    /// A new identity that is kept nowhere.
    pub fn ephemeral() -> Result<Self, IdentityError> {
        Self::from_pkcs8(&generate()?).ok_or(IdentityError::Generate)
    }

    /// The public key.
    pub fn key(&self) -> Key {
        self.key
    }

    /// What TLS needs of this identity.
    pub(crate) fn configs(&self) -> &Configs {
        &self.configs
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let (key, configs) = Configs::new(pkcs8).ok()?;
        // Without the public half, too: as TLS reads the file.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).ok()?;
        Some(Self { key, pair, configs })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("key", &self.key).finish_non_exhaustive()
    }
}

fn generate() -> Result<Vec<u8>, IdentityError> {
    let document =
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| IdentityError::Generate)?;
    Ok(document.as_ref().to_vec())
}

/// A key in the form that people compare: `SHA256:` and the unpadded base64 of the SHA-256 of its 32 bytes.
pub fn fingerprint(key: &Key) -> String {
    format!("SHA256:{}", BASE64_NOPAD.encode(digest(&SHA256, &key.0).as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_the_same_once_made() {
        let dir = tempfile::tempdir().expect("tempdir");
        let made = Identity::load_or_create(&dir.path().join("a/b")).expect("made");
        let read = Identity::load_or_create(&dir.path().join("a/b")).expect("read");
        assert_eq!(made.key(), read.key());
        assert_ne!(made.key(), Identity::ephemeral().expect("other").key());
        let left = std::fs::read_dir(dir.path().join("a/b")).expect("dir").count();
        assert_eq!(left, 1, "no temporary file is left");
    }

    #[test]
    fn racers_end_up_with_one_key() {
        let dir = tempfile::tempdir().expect("tempdir");
        let keys: Vec<Key> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Identity::load_or_create(dir.path()).expect("key").key()))
                .collect();
            racers.into_iter().map(|racer| racer.join().expect("no panic")).collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_gets_at_the_key() {
        use std::fs::{Permissions, metadata, set_permissions};
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().expect("tempdir");
        set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("chmod");
        Identity::load_or_create(dir.path()).expect("made");
        let path = dir.path().join("key");
        assert_eq!(metadata(&path).expect("key").permissions().mode() & 0o777, 0o600);
        assert_eq!(metadata(dir.path()).expect("dir").permissions().mode() & 0o777, 0o700);

        set_permissions(&path, Permissions::from_mode(0o640)).expect("chmod");
        let error = Identity::load_or_create(dir.path()).expect_err("too open");
        assert!(matches!(error, IdentityError::TooOpen { mode: 0o640, .. }), "{error}");
        assert!(error.to_string().contains("0640"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_kept() {
        let dir = tempfile::tempdir().expect("tempdir");
        Identity::load_or_create(dir.path()).expect("made");
        std::fs::write(dir.path().join("key"), b"not a key").expect("write");
        let error = Identity::load_or_create(dir.path()).expect_err("refused");
        assert!(matches!(error, IdentityError::NotAKey { .. }), "{error}");
        assert_eq!(std::fs::read(dir.path().join("key")).expect("read"), b"not a key");
    }

    #[test]
    fn a_fingerprint_is_what_openssl_and_base64_say() {
        // printf '\0%.0s' {1..32} | openssl dgst -sha256 -binary | base64
        assert_eq!(fingerprint(&Key([0; 32])), "SHA256:Zmh6rfhivXdsj8GLjp+OIAiXFIVu4jOzkCpZHQ1fKSU");
    }

    #[test]
    fn debug_output_shows_the_public_key_only() {
        let identity = Identity::ephemeral().expect("key");
        assert_eq!(format!("{identity:?}"), format!("Identity {{ key: {:?}, .. }}", identity.key()));
    }
}
