//! The key file: only its owner can read it from its first byte on, and it is on the disk before it is used.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::IdentityError;
use crate::dirs::private_file;

/// Name of the key file in its folder.
const FILE_NAME: &str = "key";

/// Longest key file that is read, in bytes; an Ed25519 key in PKCS#8 has 85.
const MAX_LEN: u64 = 4096;

/// The mode bits that let anybody but the owner in.
#[cfg(unix)]
const OTHERS: u32 = 0o077;

/// The key file's path and content; `generate` makes the content where there is none yet.
pub(super) fn load_or_create(
    dir: &Path,
    generate: impl Fn() -> Result<Vec<u8>, IdentityError>,
) -> Result<(PathBuf, Vec<u8>), IdentityError> {
    make_private_dir(dir).map_err(|source| failed("prepare the folder", dir, source))?;
    let path = dir.join(FILE_NAME);
    if let Some(bytes) = load(&path)? {
        return Ok((path, bytes));
    }
    create(dir, &path, &generate()?)?;
    // Read back, whoever made it: of two that race the second's link fails and the first's key counts.
    match load(&path)? {
        Some(bytes) => Ok((path, bytes)),
        None => Err(failed("read", &path, ErrorKind::NotFound.into())),
    }
}

fn failed(act: &'static str, path: &Path, source: io::Error) -> IdentityError {
    IdentityError::File { act, path: path.to_owned(), source }
}

/// The content of the key file; `None` where there is no such file.
fn load(path: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path, error)),
    };
    check_mode(path, &file)?;
    let mut bytes = Vec::new();
    file.take(MAX_LEN).read_to_end(&mut bytes).map_err(|source| failed("read", path, source))?;
    Ok(Some(bytes))
}

/// Writes a temporary file and links it to its name, which fails without harm where the name is taken.
fn create(dir: &Path, path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    let temporary = dir.join(format!(".{FILE_NAME}.{:016x}", rand::random::<u64>()));
    let outcome = write_synced(&temporary, bytes).and_then(|()| match fs::hard_link(&temporary, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    });
    // Also after a failure: half a key is of no use to anybody.
    let removed = fs::remove_file(&temporary);
    outcome.map_err(|source| failed("write", path, source))?;
    removed.map_err(|source| failed("remove", &temporary, source))?;
    sync_dir(dir).map_err(|source| failed("sync", dir, source))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = private_file().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn make_private_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mode = fs::metadata(dir)?.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_private_dir(dir: &Path) -> io::Result<()> {
    // A user's own folders are closed to other users there.
    fs::create_dir_all(dir)
}

#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt;

    let mode = file.metadata().map_err(|source| failed("read", path, source))?.permissions().mode() & 0o777;
    if mode & OTHERS == 0 { Ok(()) } else { Err(IdentityError::TooOpen { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "the check of other platforms can fail")]
fn check_mode(_: &Path, _: &File) -> Result<(), IdentityError> {
    Ok(())
}

#[cfg(unix)]
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "the sync of other platforms can fail")]
fn sync_dir(_: &Path) -> io::Result<()> {
    // A folder cannot be opened as a file there.
    Ok(())
}
