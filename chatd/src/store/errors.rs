//! What can go wrong with the database, in words that say what to do.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

/// Why the database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A later version of the program wrote it.
    #[error("the database has version {found}, this program knows up to {known}: update the program")]
    Newer {
        /// What is in the file.
        found: i64,
        /// What this build knows.
        known: i64,
    },
    /// The linked SQLite has a bug that can corrupt the database.
    #[error("SQLite {version} can corrupt its files; build with 3.51.3 or later")]
    Sqlite {
        /// What is linked.
        version: String,
    },
    /// The tables are of an older version, and there is no room for the copy that is made before they change.
    #[error(
        "its tables are of an older version, and {} has no room for a copy of it first: make {mib} MiB free there, then \
         start again. Nothing was changed",
        folder.display()
    )]
    NoRoom {
        /// Where the copy goes.
        folder: PathBuf,
        /// How much it takes.
        mib: u64,
    },
    /// The copy before a change of the tables failed.
    #[error("cannot copy it to {} before its tables change: {source}. Nothing was changed", path.display())]
    Backup {
        /// The copy.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What is there is no database, or not a whole one.
    #[error(
        "it is damaged, or no database at all ({0}). It was left as it is: put a copy of it in its place (an older one \
         may stand beside it, with .bak at its end), or move it away to begin a new one"
    )]
    Damaged(#[source] rusqlite::Error),
    /// There is no room on the disk for what is to be written.
    #[error("the disk is full ({0})")]
    Full(#[source] rusqlite::Error),
    /// Another program has locked the database.
    #[error("another program has locked the database ({0})")]
    Busy(#[source] rusqlite::Error),
    /// The file or its folder is not for this user to write.
    #[error("it cannot be written: give yourself the right to write the file and its folder ({0})")]
    ReadOnly(#[source] rusqlite::Error),
    /// The disk fails.
    #[error("the disk does not read or keep what it should: see the system's log, and check the disk ({0})")]
    Disk(#[source] rusqlite::Error),
    /// SQLite failed.
    #[error("the database failed: {0}")]
    Db(#[source] rusqlite::Error),
    /// A row holds what no version of the program writes.
    #[error("the database holds a broken {0}")]
    Broken(&'static str),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let extended = error.sqlite_error().map(|error| error.extended_code);
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error),
            // The index of the journal has no room to grow; nothing of a commit was written then.
            Some(ErrorCode::SystemIoFailure) if extended == Some(SQLITE_IOERR_SHMSIZE) => Self::Full(error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(error),
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged(error),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::ReadOnly(error)
            }
            Some(ErrorCode::SystemIoFailure) => Self::Disk(error),
            _ => Self::Db(error),
        }
    }
}

/// Why nothing can be written for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setback {
    /// The disk is full.
    Full,
    /// Another program has locked the database.
    Busy,
}

impl StoreError {
    /// What was to be written is lost, but the database is sound, and writes will go through again some time. `None` for
    /// an error after which only the disk tells what is true: the daemon must start again from it.
    pub fn setback(&self) -> Option<Setback> {
        match self {
            Self::Full(_) => Some(Setback::Full),
            Self::Busy(_) => Some(Setback::Busy),
            _ => None,
        }
    }
}

impl Setback {
    /// For whoever wanted something written: the end of a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Full => {
                "the disk of your daemon is full (needs 1 MiB); it goes on by itself when there is room"
            }
            Self::Busy => {
                "another program has locked your daemon's database; it goes on by itself afterwards"
            }
        }
    }
}
