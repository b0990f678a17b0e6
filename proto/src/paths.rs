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
        self.runtime.join(format!("{}.sock", file_stem(name)))
    }
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
}
