//! Which lobby, and hosting it: one machine needs no server at all.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tracing::{Instrument, info, info_span, warn};

use super::Uplink;
use crate::dirs;
use crate::link::socket;
use crate::lobby::{Lobby, LobbyConfig};

/// The lobby of a machine where none was named. The first daemon hosts it; when that one goes, the next does.
pub const BUILT_IN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 43210);

/// Where the lobby is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// None was named: [`BUILT_IN`] or another loopback address for tests, hosted by whoever finds nobody there.
    BuiltIn(SocketAddr),
    /// `host:port`, never hosted.
    Named(String),
}

impl Target {
    pub(super) fn may_host(&self) -> bool {
        matches!(self, Self::BuiltIn(_))
    }

    /// What to connect to.
    pub fn addr(&self) -> String {
        self.to_string()
    }

    /// Only this machine can reach the lobby, so only this machine has to reach us.
    pub fn is_local(&self) -> bool {
        match self {
            Self::BuiltIn(addr) => addr.ip().is_loopback(),
            Self::Named(name) => {
                let host = name.rsplit_once(':').map_or(name.as_str(), |(host, _)| host);
                let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
                host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(addr) => addr.fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl Uplink {
    /// Takes the lobby's port, if it is free. `false`: somebody else was faster, or a named lobby is never hosted.
    pub(super) fn host(&self) -> io::Result<bool> {
        let Target::BuiltIn(addr) = self.target else { return Ok(false) };
        let listener = match socket::listen(addr) {
            Ok(listener) => listener,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(false),
            Err(error) => return Err(error),
        };
        info!(%addr, "nobody hosts the lobby: hosting it");
        let lobby = self.lobby().serve(listener, Arc::clone(&self.identity), self.shutdown.child_token());
        let serve = async move {
            if let Err(error) = lobby.await {
                warn!(%error, "the hosted lobby ended");
            }
        };
        self.tasks.spawn(serve.instrument(info_span!("lobby")));
        Ok(true)
    }

    /// The lobby to host. One that cannot keep anything is better than none.
    fn lobby(&self) -> Lobby {
        let kept = dirs::own_dir(&self.data).map_err(|error| error.to_string()).and_then(|()| {
            Lobby::kept_in(&self.data, LobbyConfig::default()).map_err(|error| error.to_string())
        });
        kept.unwrap_or_else(|error| {
            warn!(error, "the hosted lobby keeps no names");
            Lobby::in_memory(LobbyConfig::default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lobby_on_this_machine_is_told_from_one_elsewhere() {
        let local = |name: &str| Target::Named(name.to_owned()).is_local();
        assert!(local("127.0.0.1:1") && local("localhost:1") && local("[::1]:1"));
        assert!(!local("10.0.0.1:1") && !local("lobby.example.org:1"));
        assert!(Target::BuiltIn(BUILT_IN).is_local());
    }
}
