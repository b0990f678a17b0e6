//! Events from the lobby's link, and questions to it.

use std::net::SocketAddr;
use std::time::Duration;

use proto::hello::Versions;
use proto::ids::{Key, Mid};
use proto::ipc::{EntryKind, LobbyState, Reply};
use proto::lobby::{Contact, FromLobby, MemberHello, ToLobby, Welcome};
use proto::name::Name;
use rand::RngExt;

use super::looks::Looks;
use super::presence::Notice;
use super::room::{Asked, Why};
use super::{Core, Effect};
use crate::store::{Author, LogId, NewEntry, StoreError};

/// How long a dial waits for the lobby to tell the peer's address before it takes the remembered ones, and how long a
/// fork waits to learn whether the peer is there at all.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

impl Core {
    /// A link stands: introduce ourselves.
    pub(super) fn on_lobby_up(&mut self, hosted: bool) {
        self.room.hosted = hosted;
        let hello = MemberHello {
            versions: Versions::OURS,
            features: Vec::new(),
            name: self.me.name.clone(),
            instance: self.me.instance,
            port: self.me.port,
            room: self.room.cursor(),
            invitation: self.setup.joined.as_ref().and_then(|joined| joined.token),
        };
        self.effects.push(Effect::Lobby(ToLobby::Hello(Box::new(hello))));
    }

    pub(super) fn on_lobby_down(&mut self, reason: String) -> Result<(), StoreError> {
        if self.room.state == LobbyState::Connected || self.room.trouble.as_ref() != Some(&reason) {
            self.versions.daemon_changed = true;
            self.room.lost(reason);
        }
        // The answers will not come any more. Forks wait for the next link, until their time is over.
        let (forks, dials): (Vec<_>, Vec<_>) = std::mem::take(&mut self.room.asked)
            .into_iter()
            .partition(|(_, asked)| matches!(asked.why, Why::Fork { .. }));
        self.room.asked.extend(forks);
        for (_, asked) in dials {
            self.answered(asked, None)?;
        }
        Ok(())
    }

    /// Told in the room, once, so that everybody sees it who attaches.
    pub(super) fn on_lobby_impostor(&mut self, reason: String) -> Result<(), StoreError> {
        if self.room.trouble.as_ref() != Some(&reason) {
            self.room_notice(&reason)?;
        }
        self.on_lobby_down(reason)
    }

    pub(super) fn on_lobby(&mut self, message: FromLobby) -> Result<(), StoreError> {
        match message {
            FromLobby::Welcome(welcome) => self.on_welcome(&welcome),
            FromLobby::Refused { reason, .. } | FromLobby::GoAway { reason, .. } => {
                self.effects.push(Effect::LobbyClose);
                self.on_lobby_down(reason)
            }
            FromLobby::Members { members, more } => {
                let keys: Vec<Key> = members.iter().map(|member| member.key).collect();
                let notices = self.room.presence.page(members, more, self.now.mono);
                self.on_presence(notices, &keys)
            }
            FromLobby::Presence { joined, left } => {
                let keys: Vec<Key> = joined.iter().map(|member| member.key).collect();
                let notices = self.room.presence.change(joined, left);
                self.on_presence(notices, &keys)
            }
            FromLobby::Entry(entry) => self.room.take(&mut self.store, *entry).map(drop),
            FromLobby::Gap { .. } => {
                self.room_notice("The lobby no longer holds all that was said meanwhile")
            }
            FromLobby::Published { mid, .. } => {
                self.room.decided(mid);
                Ok(())
            }
            FromLobby::NotPublished { mid, reason } => {
                self.room.decided(mid);
                self.room_notice(&format!("The lobby did not take a message of yours: {reason}"))
            }
            FromLobby::Found { request, contact } => match self.room.asked.remove(&request) {
                Some(asked) => self.answered(asked, contact),
                None => Ok(()), // too late: done without it
            },
            FromLobby::Ping { .. } | FromLobby::Pong { .. } | FromLobby::Unknown => Ok(()),
        }
    }

    fn on_welcome(&mut self, welcome: &Welcome) -> Result<(), StoreError> {
        self.room.welcomed(welcome, self.room.hosted);
        self.versions.daemon_changed = true;
        self.me.name = welcome.name.clone();
        for (request, asked) in &self.room.asked {
            if let Why::Fork { name, .. } = &asked.why {
                let lookup = ToLobby::Lookup { request: *request, name: name.clone() };
                self.effects.push(Effect::Lobby(lookup));
            }
        }
        if let Some(joined) = &mut self.setup.joined {
            joined.opened(&mut self.store)?;
        }
        self.store.set_meta("name", self.me.name.as_str())
    }

    /// Tells who came and left; who came may be somebody a session waits for.
    fn on_presence(&mut self, notices: Vec<Notice>, came: &[Key]) -> Result<(), StoreError> {
        for key in came {
            self.poke_key(key);
        }
        let anybody_new = notices.iter().any(|notice| matches!(notice, Notice::Joined(..)));
        let known = if anybody_new { self.known_looks() } else { Looks::default() };
        for notice in notices {
            let (kind, name, text) = match notice {
                Notice::Joined(key, name) => {
                    let lookalike = self.lookalike(&known, key, &name);
                    (EntryKind::Joined, name, lookalike.map_or(String::new(), String::from))
                }
                Notice::Left(name) => (EntryKind::Left, name, String::new()),
            };
            let entry = NewEntry {
                author: Author::Daemon(Some(name)),
                mid: self.new_mid(),
                kind,
                at: self.now.wall,
                text,
                seen: None,
            };
            self.room.log.append_other(&mut self.store, &entry)?;
        }
        Ok(())
    }

    fn room_notice(&mut self, text: &str) -> Result<(), StoreError> {
        let mid = self.new_mid();
        self.room.log.notice(&mut self.store, mid, self.now.wall, text.to_owned())
    }

    fn new_mid(&mut self) -> Mid {
        Mid::from_parts(self.now.wall, self.rng.random())
    }

    /// Dials a peer; a lobby that is there is asked first where the peer is now.
    pub(super) fn dial(&mut self, log: LogId, key: Key, name: &Name, dial_no: u64, addrs: Vec<SocketAddr>) {
        if self.room.state != LobbyState::Connected {
            return self.dial_at(log, key, dial_no, addrs);
        }
        // The lobby may know the key under another name than this daemon does.
        let name = self.room.name_of(&key).unwrap_or(name).clone();
        self.ask_lobby(&name, Why::Dial { log, key, dial_no, addrs });
    }

    /// Asks the lobby where somebody is. Without a link the question waits for one.
    pub(super) fn ask_lobby(&mut self, name: &Name, why: Why) {
        let request = self.room.request();
        self.room.asked.insert(request, Asked { why, until: self.now.mono + LOOKUP_TIMEOUT });
        if self.room.state == LobbyState::Connected {
            self.effects.push(Effect::Lobby(ToLobby::Lookup { request, name: name.clone() }));
        }
    }

    /// The lobby has told where somebody is, or has not.
    fn answered(&mut self, asked: Asked, contact: Option<Contact>) -> Result<(), StoreError> {
        match asked.why {
            Why::Dial { log, key, dial_no, addrs: known } => {
                // A name that belongs to another key now tells nothing of this peer.
                let fresh = contact.filter(|contact| contact.member.key == key);
                let mut addrs = fresh.map(|contact| contact.addrs).unwrap_or_default();
                addrs.extend(known.into_iter().filter(|addr| !addrs.contains(addr)).collect::<Vec<_>>());
                addrs.truncate(proto::limits::MAX_ADDRS);
                self.dial_at(log, key, dial_no, addrs);
                Ok(())
            }
            Why::Fork { name, reply } => {
                let member = contact.map(|contact| (contact.member.key, contact.member.name));
                let answer = self.fork_with(&name, member)?;
                self.effects.push(Effect::Reply(reply, answer.unwrap_or_else(Reply::Error)));
                Ok(())
            }
        }
    }

    fn dial_at(&mut self, log: LogId, key: Key, dial_no: u64, addrs: Vec<SocketAddr>) {
        if !addrs.is_empty() {
            return self.effects.push(Effect::Dial { log, key, dial_no, addrs });
        }
        if let Some(session) = self.sessions.get_mut(&log) {
            let reason = "no address of the peer is known".to_owned();
            session.on_dial_failed(&mut super::core::cx!(self), reason);
        }
    }

    /// Dials that waited too long for the lobby go on without it; members that were missing too long have left.
    pub(super) fn room_deadlines(&mut self) -> Result<(), StoreError> {
        let now = self.now.mono;
        let late: Vec<u64> = self
            .room
            .asked
            .iter()
            .filter(|(_, asked)| asked.until <= now)
            .map(|(request, _)| *request)
            .collect();
        for request in late {
            if let Some(asked) = self.room.asked.remove(&request) {
                self.answered(asked, None)?;
            }
        }
        let gone = self.room.presence.expire(now);
        self.on_presence(gone, &[])
    }
}
