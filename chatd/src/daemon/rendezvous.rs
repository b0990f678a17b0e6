//! Finding and reaching people by the lobby: it tells an address only where both sides want it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proto::ids::Key;
use proto::ipc::{LobbyState, Reply};
use proto::lobby::{Contact, Member, ToLobby};
use proto::name::Name;
use tokio::sync::oneshot;

use super::core::cx;
use super::knocks::Answering;
use super::room::{Asked, Reaching};
use super::setback::NOT_DONE;
use super::{Core, Effect};
use crate::store::{LogId, StoreError};

/// How long a dial waits for the lobby to tell the peer's address before it takes the remembered ones, and how long a
/// fork waits to learn whether the peer is there at all.
const PATIENCE: Duration = Duration::from_secs(3);

/// Addresses of one answer that are tried, before the remembered ones.
const MAX_FRESH: usize = 2;

impl Core {
    /// Dials a peer; a lobby that is there is asked first where the peer is now.
    pub(super) fn dial(&mut self, log: LogId, key: Key, dial_no: u64, addrs: Vec<SocketAddr>) {
        if self.room.state != LobbyState::Connected || self.is_blocked(&key) {
            return self.dial_at(log, key, dial_no, addrs);
        }
        let until = self.now.mono + PATIENCE;
        self.room.reaching.insert(key, Reaching { log, dial_no, addrs, until });
        self.tell_lobby(ToLobby::Reach { key });
    }

    fn dial_at(&mut self, log: LogId, key: Key, dial_no: u64, addrs: Vec<SocketAddr>) {
        if !addrs.is_empty() && !self.is_blocked(&key) {
            return self.effects.push(Effect::Dial { log, key, dial_no, addrs });
        }
        let in_lobby = self.room.state == LobbyState::Connected;
        let is_there = self.room.name_of(&key).is_some();
        if let Some(session) = self.sessions.get_mut(&log) {
            // Somebody who is there and does not say where: its person is asked. Without a lobby nobody can tell.
            if in_lobby {
                session.told_of_consent(is_there);
            }
            session.on_dial_failed(&mut cx!(self), "no address of the peer is known");
        }
    }

    /// The lobby has told where somebody can be reached. Who was not asked for may dial us, or will be asked for.
    pub(super) fn on_contact(&mut self, contact: Contact) {
        let Some(reaching) = self.room.reaching.remove(&contact.key) else { return };
        let sees = self.room.seen_as;
        let mut addrs: Vec<SocketAddr> =
            contact.addrs.into_iter().filter(|addr| sees.is_some_and(|sees| can_know(sees, *addr))).collect();
        // A lobby that lies shall not push out where the peer was reached before.
        addrs.truncate(MAX_FRESH);
        let known = reaching.addrs.iter().filter(|addr| !addrs.contains(addr)).copied().collect::<Vec<_>>();
        addrs.extend(known);
        addrs.truncate(proto::limits::MAX_ADDRS);
        self.dial_at(reaching.log, contact.key, reaching.dial_no, addrs);
    }

    /// Somebody wants to reach us.
    pub(super) fn on_wanted(&mut self, by: &Member) {
        if by.key == self.me.key {
            return;
        }
        match self.answering(&by.key) {
            Answering::Yes => self.tell_lobby(ToLobby::Reach { key: by.key }),
            Answering::No => self.tell_lobby(ToLobby::Decline { key: by.key }),
            Answering::Busy => {}
            Answering::Ask => self.knocked(by),
        }
    }

    /// Somebody does not want to be reached by us. Whoever was reached before says so without the lobby: a lobby that lies
    /// shall not part them.
    pub(super) fn on_declined(&mut self, by: &Key) -> Result<(), StoreError> {
        if let Some(reaching) = self.room.reaching.remove(by)
            && !reaching.addrs.is_empty()
        {
            self.dial_at(reaching.log, *by, reaching.dial_no, reaching.addrs);
            return Ok(());
        }
        let Some(log) = self.find_key(by) else { return Ok(()) };
        self.with_session(log, |session, cx| {
            session.on_declined(cx);
            Ok(())
        })
    }

    /// Asks the lobby who somebody is, to fork a session. Without a link the question waits for one.
    pub(super) fn ask_lobby(&mut self, name: Name, reply: oneshot::Sender<Reply>) {
        let request = self.room.request();
        if self.room.state == LobbyState::Connected {
            self.tell_lobby(ToLobby::Lookup { request, name: name.clone() });
        }
        self.room.asked.insert(request, Asked { name, reply, until: self.now.mono + PATIENCE });
    }

    /// A new link: the questions that wait are asked on it.
    pub(super) fn ask_again(&mut self) {
        let asked = self.room.asked.iter();
        let lookups: Vec<_> = asked
            .map(|(request, asked)| ToLobby::Lookup { request: *request, name: asked.name.clone() })
            .collect();
        for lookup in lookups {
            self.tell_lobby(lookup);
        }
    }

    /// The lobby has told who has a name.
    pub(super) fn on_found(&mut self, request: u64, member: Option<Member>) -> Result<(), StoreError> {
        match self.room.asked.remove(&request) {
            Some(asked) => self.found(asked, member),
            None => Ok(()), // too late: done without it
        }
    }

    fn found(&mut self, asked: Asked, member: Option<Member>) -> Result<(), StoreError> {
        let Asked { name, reply, .. } = asked;
        // Whom a lobby names instead is nobody that was asked for: under another name a pin would be passed by.
        let meant = member.filter(|member| member.name.folded() == name.folded());
        let answer = self.fork_with(&name, meant.map(|member| (member.key, member.name)));
        self.reply(reply, NOT_DONE, answer)
    }

    /// The link is gone, and with it the answers to come. Forks wait for the next one, until their time is over.
    pub(super) fn dial_without_lobby(&mut self) {
        for (key, reaching) in std::mem::take(&mut self.room.reaching) {
            self.dial_at(reaching.log, key, reaching.dial_no, reaching.addrs);
        }
    }

    /// What waited too long for the lobby goes on without it.
    pub(super) fn rendezvous_deadlines(&mut self) -> Result<(), StoreError> {
        let now = self.now.mono;
        let late = |until: Duration| until <= now;
        let forks: Vec<u64> = self
            .room
            .asked
            .iter()
            .filter(|(_, asked)| late(asked.until))
            .map(|(request, _)| *request)
            .collect();
        for request in forks {
            self.on_found(request, None)?;
        }
        let dials = self.room.reaching.iter().filter(|(_, reaching)| late(reaching.until));
        for key in dials.map(|(key, _)| *key).collect::<Vec<_>>() {
            if let Some(reaching) = self.room.reaching.remove(&key) {
                self.dial_at(reaching.log, key, reaching.dial_no, reaching.addrs);
            }
        }
        Ok(())
    }
}

/// Whether a lobby that sees us come from one address can know of a peer at the other: it shall not have us knock at
/// doors inside our own machine or network.
fn can_know(sees_us: SocketAddr, peer: SocketAddr) -> bool {
    let (us, peer_ip) = (scope_of(sees_us.ip()), scope_of(peer.ip()));
    peer.port() != 0 && peer_ip.is_some_and(|peer| us.is_some_and(|us| peer >= us))
}

/// From how far an address is valid, the nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Machine,
    Link,
    Site,
    World,
}

/// `None`: nobody can be dialled there.
fn scope_of(ip: IpAddr) -> Option<Scope> {
    let ip = ip.to_canonical();
    if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::from([255, 255, 255, 255]) {
        return None;
    }
    let (link, site) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.is_private() || is_shared(ip.octets())),
        IpAddr::V6(ip) => (ip.is_unicast_link_local(), ip.is_unique_local()),
    };
    Some(match () {
        () if ip.is_loopback() => Scope::Machine,
        () if link => Scope::Link,
        () if site => Scope::Site,
        () => Scope::World,
    })
}

/// 100.64.0.0/10, between a provider and its customers (RFC 6598); overlay networks use it as well.
fn is_shared(octets: [u8; 4]) -> bool {
    octets[0] == 100 && octets[1] & 0xc0 == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knows(us: &str, peer: &str) -> bool {
        can_know(us.parse().expect("address"), peer.parse().expect("address"))
    }

    #[test]
    fn a_lobby_sends_us_no_further_inside_than_it_is_itself() {
        for peer in ["127.0.0.1:1", "192.168.1.7:1", "[fe80::1]:1", "203.0.113.5:1"] {
            assert!(knows("127.0.0.1:9", peer), "{peer} by a lobby on this machine");
        }
        for (peer, known) in [("127.0.0.1:1", false), ("169.254.1.1:1", false), ("10.0.0.8:1", true)] {
            assert_eq!(knows("192.168.1.2:9", peer), known, "{peer} by a lobby in this network");
        }
        for peer in
            ["[::ffff:127.0.0.1]:1", "[::1]:1", "10.0.0.8:1", "100.64.0.3:1", "[fd00::1]:1", "[fe80::1]:1"]
        {
            assert!(!knows("203.0.113.4:9", peer), "{peer} by a lobby out in the world");
        }
        assert!(knows("203.0.113.4:9", "[2001:db8::9]:40002"));
    }

    #[test]
    fn nobody_is_dialled_where_nobody_can_be() {
        for peer in ["127.0.0.1:0", "0.0.0.0:1", "[::]:1", "224.0.0.1:1", "[ff02::1]:1", "255.255.255.255:1"]
        {
            assert!(!knows("127.0.0.1:9", peer), "{peer}");
        }
    }
}
