//! Pages of history for clients: read-only connections, off the core's thread, so that no client delays another.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use proto::archive::Record;
use proto::ids::{Key, Seq};
use proto::ipc::{Entry, Range};
use tokio::task::spawn_blocking;

use crate::daemon::Place;
use crate::store::{Found, LogId, Progress, Query, Reader, Scope, StoreError};

/// Connections that are kept for the next page.
const KEEP: usize = 4;

/// The readers of a database.
#[derive(Debug, Clone)]
pub struct History {
    path: Arc<PathBuf>,
    idle: Arc<Mutex<Vec<Reader>>>,
}

impl History {
    /// Readers for the database at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path: Arc::new(path), idle: Arc::default() }
    }

    /// One page of a log; see [`Reader::page`].
    pub async fn page(
        &self,
        log: LogId,
        range: Range,
        limit: u32,
        me: Key,
        progress: Progress,
    ) -> Result<Vec<Entry>, StoreError> {
        self.with(move |reader| reader.page(log, range, limit, &me, progress)).await
    }

    /// One page of a log with all that an import needs; see [`Reader::records`].
    pub async fn records(&self, place: Place, after: Seq, me: Key) -> Result<Vec<Record>, StoreError> {
        let Place { log, peer, progress, .. } = place;
        self.with(move |reader| reader.records(log, peer.as_ref(), after, &me, progress)).await
    }

    /// Messages that hold all the words; see [`Reader::search`].
    pub async fn search<P, S>(&self, query: Query, scope: Scope<P, S>) -> Result<Found, StoreError>
    where
        P: Fn(LogId) -> Progress + Send + 'static,
        S: Fn(LogId) -> bool + Send + 'static,
    {
        self.with(move |reader| reader.search(&query, &scope)).await
    }

    async fn with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let this = self.clone();
        let work = move || {
            let idle = this.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let reader = idle.map_or_else(|| Reader::open(&this.path), Ok)?;
            let outcome = read(&reader);
            let mut idle = this.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < KEEP {
                idle.push(reader);
            }
            outcome
        };
        spawn_blocking(work).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }
}
