//! Binding the local socket and accepting clients of the same user.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use interprocess::local_socket::{GenericFilePath, ListenerOptions};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span, warn};

use super::{Context, client};

/// Wait after a failed accept, so that running out of descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the last messages to clients may take when the daemon stops.
const DRAIN: Duration = Duration::from_secs(1);

/// Longest path of a socket, in bytes: what every Unix has room for.
const MAX_PATH: usize = 103;

/// Why the local socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Something answers on it.
    #[error("another daemon listens on {}: use another name, or stop it with: chatctl quit", .0.display())]
    InUse(PathBuf),
    /// What is there is no socket; it is left alone.
    #[error("{} is in the way and is not a socket: move it away", .0.display())]
    NotASocket(PathBuf),
    /// The system has no room for such a path.
    #[error("the path of the socket is too long, {} bytes of at most {MAX_PATH}: name a shorter folder with \
        --runtime-dir ({})", .0.as_os_str().len(), .0.display())]
    TooLong(PathBuf),
    /// The system refused.
    #[error("cannot listen on {}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A bound local socket.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
}

impl Server {
    /// Binds the socket. A socket that a dead daemon left behind is replaced, anything else is not touched.
    ///
    /// The caller holds the lock of the daemon's folder, so no daemon of this name is starting at the same time.
    pub async fn bind(path: &Path) -> Result<Self, ListenError> {
        Ok(Self { listener: bind(path).await? })
    }

    /// Serves clients until the daemon stops; then each is told and given a moment to take it.
    pub async fn serve(self, context: Context, shutdown: CancellationToken) {
        let clients = TaskTracker::new();
        let mut number = 0_u64;
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok(stream) if is_same_user(&stream) => {
                    number += 1;
                    let span = info_span!("client", number);
                    clients.spawn(client::run(stream, context.clone(), shutdown.clone()).instrument(span));
                }
                Ok(_) => warn!("refused a client of another user"),
                Err(error) => {
                    warn!(%error, "accept failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener); // nobody new; removes the socket
        clients.close();
        timeout(DRAIN, clients.wait()).await.ok(); // who does not take the goodbye goes without
    }
}

/// Binds a socket for this user, as [`Server::bind`] does.
pub(crate) async fn bind(path: &Path) -> Result<Listener, ListenError> {
    let failed = |source| ListenError::Io { path: path.to_owned(), source };
    if path.as_os_str().len() > MAX_PATH {
        return Err(ListenError::TooLong(path.to_owned()));
    }
    remove_stale(path).await?;
    let name = path.to_fs_name::<GenericFilePath>().map_err(failed)?;
    let options = ListenerOptions::new().name(name);
    // Set before the socket can be connected to. Elsewhere the folder, which only its owner may enter, must do.
    #[cfg(target_os = "linux")]
    let options = {
        use interprocess::os::unix::local_socket::ListenerOptionsExt;
        options.mode(0o600)
    };
    options.create_tokio().map_err(failed)
}

async fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !is_socket(&found) {
        return Err(ListenError::NotASocket(path.to_owned()));
    }
    let failed = |source| ListenError::Io { path: path.to_owned(), source };
    let name = path.to_fs_name::<GenericFilePath>().map_err(failed)?;
    match Stream::connect(name).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(ListenError::InUse(path.to_owned())),
    }
}

#[cfg(unix)]
fn is_socket(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    found.file_type().is_socket()
}

/// A named pipe has no file; whatever is found is one.
#[cfg(not(unix))]
fn is_socket(_: &std::fs::Metadata) -> bool {
    true
}

/// The kernel says who is at the other end; the socket's mode alone would let root's mistakes through.
#[cfg(unix)]
pub(crate) fn is_same_user(stream: &Stream) -> bool {
    let me = rustix::process::geteuid().as_raw();
    stream.peer_creds().is_ok_and(|creds| creds.euid().is_none_or(|uid| uid == me))
}

/// The pipe's security descriptor admits its owner only.
#[cfg(not(unix))]
pub(crate) fn is_same_user(_: &Stream) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn the_socket_is_its_owners_alone() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("a.sock");
        let _server = Server::bind(&path).await.expect("binds");
        let mode = std::fs::metadata(&path).expect("socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("a.sock");
        let living = UnixListener::bind(&path).expect("binds");
        assert!(matches!(Server::bind(&path).await, Err(ListenError::InUse(_))));
        drop(living); // std leaves the file
        Server::bind(&path).await.expect("replaces");
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("a.sock");
        std::fs::write(&path, "mine").expect("writes");
        assert!(matches!(Server::bind(&path).await, Err(ListenError::NotASocket(_))));
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "mine");
        let long = dir.path().join("x".repeat(120));
        assert!(matches!(Server::bind(&long).await, Err(ListenError::TooLong(_))));
    }
}
