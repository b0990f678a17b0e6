//! The copy of a database that is made before its tables change.
//!
//! It stands beside the database as `history.db.v3.bak`, where 3 is the version of the tables in it. To go back to an
//! older program: stop the daemon, put the copy in the place of `history.db`, and remove `history.db-wal`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::StoreError;
use crate::dirs::private_file;

/// Copies that are kept, those of the newest versions.
const KEEP: usize = 2;
/// What has to be free beyond the size of the copy, in bytes, for the step itself.
const SPARE: u64 = 4 << 20;

/// Copies a database before its tables of that version change.
///
/// # Errors
///
/// [`StoreError::NoRoom`] where the copy would not fit; whatever the error, the database is as it was.
pub(super) fn keep(db: &Connection, path: &Path, version: i64) -> Result<(), StoreError> {
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let needed = size(path) + size(&beside(path, "-wal")) + SPARE;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if free(folder).is_some_and(|free| free < needed) {
        return Err(StoreError::NoRoom { folder: folder.to_owned(), mib: needed.div_ceil(1 << 20) });
    }
    let target = beside(path, &format!(".v{version}.bak"));
    let failed = |source| StoreError::Backup { path: target.clone(), source };
    let part = beside(&target, ".part");
    // The copy gets its name only once it is whole.
    let file = make_private(&part).map_err(failed)?;
    let mut copy = Connection::open(&part)?;
    Backup::new(db, &mut copy)?.step(-1)?;
    copy.close().map_err(|(_, error)| error)?;
    file.sync_all().and_then(|()| fs::rename(&part, &target)).map_err(failed)?;
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    prune(path, folder).map_err(failed)
}

/// The path with something after it.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn make_private(path: &Path) -> io::Result<File> {
    fs::remove_file(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    private_file().write(true).create_new(true).open(path)
}

/// Removes all copies but the newest.
fn prune(path: &Path, folder: &Path) -> io::Result<()> {
    let base = format!("{}.v", path.file_name().unwrap_or_default().to_string_lossy());
    let mut copies = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        let version = name.strip_prefix(&base).and_then(|rest| rest.strip_suffix(".bak"));
        if let Some(version) = version.and_then(|version| version.parse::<i64>().ok()) {
            copies.push((version, file.path()));
        }
    }
    copies.sort();
    let old = copies.len().saturating_sub(KEEP);
    copies.into_iter().take(old).try_for_each(|(_, path)| fs::remove_file(path))
}

/// What is free where the folder is, in bytes; `None` where that cannot be told.
#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}
