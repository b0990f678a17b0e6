//! TCP as these links need it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

#[cfg(any(target_os = "linux", target_os = "android"))]
use socket2::SockRef;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tracing::warn;

/// Connections that may wait to be accepted: everybody comes back at once after an outage.
const BACKLOG: i32 = 4096;

/// Time that sent bytes may stay unacknowledged before the system gives the connection up.
pub const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// First wait after a failed accept; doubles up to [`ACCEPT_PAUSE_MAX`].
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Longest wait after a failed accept.
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Listens on `addr`; port 0 is any free port.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Elsewhere this would let two programs share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Sets a connected stream up: small messages go out at once, a dead path is noticed.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SockRef::from(stream).set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

/// The next connection, tuned. Cancel safe.
///
/// A failed accept (out of descriptors, say) never ends a listener: it waits, up to a second at a time, and tries again.
pub async fn accept_with_backoff(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut pause = ACCEPT_PAUSE;
    loop {
        match listener.accept().await {
            // A connection that ended already fails to be tuned; whoever reads from it finds out.
            Ok((stream, addr)) => {
                tune(&stream).ok();
                return (stream, addr);
            }
            Err(error) => {
                warn!(%error, ?pause, "accept failed");
                sleep(pause).await;
                pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
            }
        }
    }
}
