//! The daemon's folders: made for their owner only, refused where others could get in, owned by one daemon at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The system refused.
    #[error("cannot {act} {}: {source}", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Somebody else owns it, or it is a link or a file.
    #[error("{} is not a folder of yours: move it away, or name another place", .0.display())]
    NotOurs(PathBuf),
    /// Others on this machine can get in.
    #[error("others can enter {}, where the daemon's socket goes: run chmod 700 {}, or name another place",
        .0.display(), .0.display())]
    TooOpen(PathBuf),
    /// A daemon of this name runs already.
    #[error("{} is in use{}: a daemon of this name runs already; attach to it with: chatctl attach",
        path.display(), pid.as_ref().map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who holds it, if it said so.
        pid: Option<String>,
    },
}

/// A folder of the program's own: made if need be, closed to others if it was open to them.
pub fn own_dir(path: &Path) -> Result<(), DirError> {
    let found = ours(path)?;
    close_to_others(path, &found).map_err(|source| DirError::Io {
        act: "close to others",
        path: path.to_owned(),
        source,
    })
}

/// A folder that may be somebody's choice: made if need be, refused if others can get in, never changed.
pub fn safe_dir(path: &Path) -> Result<(), DirError> {
    if is_open_to_others(&ours(path)?) {
        return Err(DirError::TooOpen(path.to_owned()));
    }
    Ok(())
}

fn ours(path: &Path) -> Result<fs::Metadata, DirError> {
    let failed = |act| move |source| DirError::Io { act, path: path.to_owned(), source };
    create(path).map_err(failed("make"))?;
    let found = fs::symlink_metadata(path).map_err(failed("look at"))?;
    if !found.is_dir() || !is_ours(&found) {
        return Err(DirError::NotOurs(path.to_owned()));
    }
    Ok(found)
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(unix)]
fn is_ours(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    found.uid() == rustix::process::geteuid().as_raw()
}

/// A user's profile folders are closed to others by what they inherit.
#[cfg(not(unix))]
fn is_ours(_: &fs::Metadata) -> bool {
    true
}

#[cfg(unix)]
fn is_open_to_others(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    found.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &fs::Metadata) -> bool {
    false
}

#[cfg(unix)]
fn close_to_others(path: &Path, found: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if is_open_to_others(found) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn close_to_others(_: &Path, _: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// How a file is made that its owner alone may read, from its first byte.
pub(crate) fn private_file() -> OpenOptions {
    #[allow(unused_mut, reason = "elsewhere the folder of a user is closed to others")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A daemon's folder, held by this process until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the folder.
    pub fn take(dir: &Path) -> Result<Self, DirError> {
        let path = dir.join("lock");
        let failed = |act| {
            let path = path.clone();
            move |source| DirError::Io { act, path, source }
        };
        let opened = private_file().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.take(16).read_to_string(&mut pid).ok(); // only to say who it is
                let pid = Some(pid.trim().to_owned()).filter(|pid| !pid.is_empty());
                return Err(DirError::Locked { path: dir.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        file.set_len(0).map_err(failed("write"))?;
        file.rewind().map_err(failed("write"))?;
        writeln!(file, "{}", std::process::id()).map_err(failed("write"))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_daemon_at_a_time() {
        let dir = tempfile::tempdir().expect("tempdir");
        let lock = Lock::take(dir.path()).expect("free");
        let error = Lock::take(dir.path()).expect_err("taken").to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(lock);
        Lock::take(dir.path()).expect("free again");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_can_enter_is_closed_and_a_link_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("tempdir");
        let made = dir.path().join("a/b");
        own_dir(&made).expect("made");
        assert_eq!(fs::metadata(&made).expect("there").permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&made, fs::Permissions::from_mode(0o755)).expect("chmod");
        assert!(matches!(safe_dir(&made), Err(DirError::TooOpen(_))));
        own_dir(&made).expect("closed");
        safe_dir(&made).expect("closed now");
        assert_eq!(fs::metadata(&made).expect("there").permissions().mode() & 0o777, 0o700);
        std::os::unix::fs::symlink(&made, dir.path().join("link")).expect("link");
        assert!(matches!(own_dir(&dir.path().join("link")), Err(DirError::NotOurs(_))));
    }
}
