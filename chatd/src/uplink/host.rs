//! Which lobby, and hosting it: one machine needs no server at all.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use tracing::{Instrument, info, info_span, warn};

use super::Uplink;
use crate::dirs;
use crate::link::socket;
use crate::lobby::{Lobby, LobbyConfig, Past};

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
        let lobby =
            self.lobby().map_err(|error| io::Error::other(format!("cannot host the lobby: {error:#}")))?;
        let lobby = lobby.serve(listener, Arc::clone(&self.identity), self.shutdown.child_token());
        let serve = async move {
            if let Err(error) = lobby.await {
                warn!(%error, "the hosted lobby ended");
            }
        };
        self.tasks.spawn(serve.instrument(info_span!("lobby")));
        Ok(true)
    }

    /// The lobby to host. Where what it keeps cannot be read there is none: what was said must not be lost, and another
    /// daemon of this machine may host in its place.
    fn lobby(&self) -> anyhow::Result<Lobby> {
        dirs::own_dir(&self.data)?;
        let config = LobbyConfig { past: Past::SinceOpen, ..LobbyConfig::default() };
        Lobby::kept_in(&self.data, config)
            .with_context(|| format!("cannot read what it keeps in {}", self.data.display()))
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
