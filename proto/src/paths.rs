//! Where a daemon's files and its local socket are. Computes paths and touches nothing.

use std::path::{Path, PathBuf};

use directories::ProjectDirs;

use crate::name::Name;

/// The folders of all daemons of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Keys, databases, logs: lives as long as the person wants to be known.
    pub data: PathBuf,
    /// Local sockets: lives as long as the login.
    pub runtime: PathBuf,
}

/// There is no home directory to put files under.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no home directory (HOME is not set): name the folders with --data-dir and --runtime-dir")]
pub struct NoHome;

impl Base {
    /// The folders by the customs of the platform; a given one wins.
    ///
    /// Where the platform has no runtime folder, or the session has none, sockets are in `run` under the data folder.
    pub fn resolve(data: Option<PathBuf>, runtime: Option<PathBuf>) -> Result<Self, NoHome> {
        let dirs = ProjectDirs::from("", "", "chatd");
        let data = match data {
            Some(data) => data,
            None => dirs.as_ref().ok_or(NoHome)?.data_local_dir().to_owned(),
        };
        let runtime =
            runtime.or_else(|| dirs?.runtime_dir().map(Path::to_owned)).unwrap_or_else(|| data.join("run"));
        Ok(Self { data, runtime })
    }

    /// Folder of one daemon: key, database, logs.
    pub fn daemon_data(&self, name: &Name) -> PathBuf {
        self.data.join(file_stem(name))
    }

    /// Where the daemon of that name listens for clients.
    pub fn socket(&self, name: &Name) -> PathBuf {
        self.runtime.join(format!("{}.{SOCKET_EXTENSION}", socket_stem(name)))
    }
}

/// What the file names of local sockets end with.
pub const SOCKET_EXTENSION: &str = "sock";

/// Longest stem of a socket's file name that is a name as it is, in bytes. The path of a socket has room for 103 bytes
/// on macOS and 107 on Linux, and most of it belongs to the folder.
const MAX_SOCKET_STEM: usize = 32;

/// Of a longer one, how much of the name is left to be recognized, in bytes.
const SOCKET_PREFIX: usize = 15;

/// It depends on the name alone, not on the folder: daemon and client may call the same folder by different paths.
fn socket_stem(name: &Name) -> String {
    let stem = file_stem(name);
    if stem.len() <= MAX_SOCKET_STEM {
        return stem;
    }
    let prefix = &stem[..stem.floor_char_boundary(SOCKET_PREFIX)];
    // No name has a tilde, so this is none of another daemon.
    format!("{prefix}~{:016x}", fnv1a(stem.as_bytes()))
}

/// FNV-1a. All names are of one user: nobody gains by two that meet.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The part of file names that stands for a name: case does not count, so two spellings are one daemon.
pub fn file_stem(name: &Name) -> String {
    name.folded()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_folders_win_and_sockets_have_a_place_without_a_runtime_folder() {
        let name = Name::new("Bobby").expect("name");
        let base = Base::resolve(Some("/d".into()), Some("/r".into())).expect("resolves");
        assert_eq!(base.daemon_data(&name), Path::new("/d/bobby"));
        assert_eq!(base.socket(&name), Path::new("/r/bobby.sock"));
    }

    #[test]
    fn regression_the_socket_of_the_longest_name_fits_and_is_nobody_elses() {
        let base = Base::resolve(Some("/d".into()), Some("/run/user/1000/chatd".into())).expect("resolves");
        let socket = |name: String| base.socket(&Name::new(name).expect("name")).into_os_string().len();
        for letter in ["a", "я", "漢", "𠀀"] {
            assert!(socket(letter.repeat(32)) <= 60, "{letter}");
        }
        let long = |last: &str| base.socket(&Name::new(format!("{}{last}", "я".repeat(31))).expect("name"));
        assert_eq!(long("а"), Path::new("/run/user/1000/chatd/яяяяяяя~6d799453d7532371.sock"));
        assert_ne!(long("а"), long("б"));
        assert_eq!(long("А"), long("а"), "case does not count");
    }
}
