//! Events from the lobby's link, and questions to it.

use std::time::Duration;

use proto::hello::Versions;
use proto::ids::{Key, Mid};
use proto::ipc::{EntryKind, LobbyState};
use proto::lobby::{FromLobby, MemberHello, RoomEntry, ToLobby, Welcome};
use rand::RngExt;

use super::looks::Looks;
use super::presence::Notice;
use super::{Core, Effect};
use crate::store::{Author, NewEntry, StoreError};

/// Authors of whom forged entries are told of in one run; more would only fill the log.
const MAX_FORGED: usize = 16;

impl Core {
    /// A link stands: introduce ourselves.
    pub(super) fn on_lobby_up(&mut self, link: u64, hosted: bool, key: Key) -> Result<(), StoreError> {
        self.room.link = link;
        if !self.check_lobby(key)? {
            return Ok(());
        }
        self.room.hosted = hosted;
        // The secret is for the lobby of the invitation, also where another key was accepted since.
        let joined = self.setup.joined.as_ref().filter(|joined| joined.lobby == key);
        let invitation = joined.and_then(|joined| joined.token);
        let room = self.room.bookmarks.turn_to(&self.store, key, !self.setup.named)?;
        let hello = MemberHello {
            versions: Versions::OURS,
            features: Vec::new(),
            name: self.me.name.clone(),
            instance: self.me.instance,
            port: self.me.port,
            room,
            invitation,
        };
        self.tell_lobby(ToLobby::Hello(Box::new(hello)));
        Ok(())
    }

    /// Puts a message on the present link to the lobby.
    pub(super) fn tell_lobby(&mut self, message: ToLobby) {
        self.effects.push(Effect::Lobby(self.room.link, message));
    }

    pub(super) fn on_lobby_down(&mut self, reason: String) {
        // What the lobby said before it hung up tells more than that it did.
        let reason = self.room.last_words.take().unwrap_or(reason);
        let news = self.room.state == LobbyState::Connected || self.room.trouble.as_ref() != Some(&reason);
        // That the lobby is another one stays on the screen until it is settled, whatever becomes of the link.
        if news && !self.lobby_is_strange() {
            self.versions.daemon_changed = true;
            self.room.lost(reason);
        }
        self.dial_without_lobby();
    }

    pub(super) fn on_lobby(&mut self, message: FromLobby) -> Result<(), StoreError> {
        if self.lobby_is_strange() {
            return Ok(()); // what it says before the link ends is not the lobby's word
        }
        match message {
            FromLobby::Welcome(welcome) => self.on_welcome(&welcome),
            FromLobby::Refused { reason, retry_after_ms, .. }
            | FromLobby::GoAway { reason, retry_after_ms } => {
                self.hang_up(reason, Duration::from_millis(retry_after_ms));
                Ok(())
            }
            FromLobby::Members { more: true, .. } | FromLobby::Presence { .. }
                if self.room.presence.is_flooded() =>
            {
                self.hang_up("it names more members than can be".to_owned(), Duration::ZERO);
                Ok(())
            }
            FromLobby::Members { members, more } => {
                let notices = self.room.presence.page(members, more, self.now.mono);
                // The list counts once it is whole.
                let keys = if more { Vec::new() } else { self.room.presence.keys() };
                self.on_presence(notices, &keys)
            }
            FromLobby::Presence { joined, left } => {
                let keys: Vec<Key> = joined.iter().map(|member| member.key).collect();
                let notices = self.room.presence.change(joined, left);
                self.on_presence(notices, &keys)
            }
            FromLobby::Entry(mut entry) => {
                self.name_speaker(&mut entry.from)?;
                self.room.take(&mut self.store, *entry).map(drop)
            }
            FromLobby::Gap { next } if self.room.bookmarks.gap(next) => {
                self.room_notice("The lobby no longer holds all that was said meanwhile")
            }
            FromLobby::Published { mid, seq } => {
                self.room.decided(mid, Some(seq));
                Ok(())
            }
            FromLobby::NotPublished { mid, reason } => {
                self.room.decided(mid, None);
                self.room_notice(&format!("The lobby did not take a message of yours: {reason}"))
            }
            FromLobby::Found { request, member } => self.on_found(request, member),
            FromLobby::Wanted { by } => {
                self.on_wanted(&by);
                Ok(())
            }
            FromLobby::Contact(contact) => {
                self.on_contact(contact);
                Ok(())
            }
            FromLobby::Declined { by } => self.on_declined(&by),
            FromLobby::Gap { .. } | FromLobby::Ping { .. } | FromLobby::Pong { .. } | FromLobby::Unknown => {
                Ok(())
            }
        }
    }

    /// The lobby passes on as somebody's what that one has not signed. Not shown; said once for each author in a run.
    pub(super) fn on_forged(&mut self, entry: &RoomEntry) -> Result<(), StoreError> {
        if self.lobby_is_strange() || !self.room.pass_over(entry) {
            return Ok(());
        }
        let author = &entry.from.key;
        if self.forged.len() >= MAX_FORGED || !self.forged.insert(*author) {
            return Ok(());
        }
        let name = match self.pins.get(author) {
            _ if *author == self.me.key => self.me.name.clone(),
            Some(pin) => pin.name.clone(),
            None => entry.from.name.clone(),
        };
        let text = format!(
            "WARNING: the lobby passed on as said by {name} what the key of {name} has not signed. It is not shown. \
             Whoever runs the lobby may be putting words into {name}'s mouth"
        );
        self.room_notice(&text)
    }

    /// Ends the link to the lobby, for this reason.
    fn hang_up(&mut self, reason: String, stay_away: Duration) {
        self.room.last_words = Some(reason);
        self.effects.push(Effect::LobbyClose(stay_away));
    }

    fn on_welcome(&mut self, welcome: &Welcome) -> Result<(), StoreError> {
        self.room.welcomed(&mut self.store, welcome, self.room.hosted)?;
        self.versions.daemon_changed = true;
        self.me.name = welcome.name.clone();
        self.ask_again();
        let present = self.lobby_key.present();
        if let Some(joined) = self.setup.joined.as_mut().filter(|joined| Some(joined.lobby) == present) {
            joined.opened(&mut self.store)?;
        }
        self.pin_lobby()?;
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
                text: text.into(),
                seen: None,
            };
            self.room.log.append_other(&mut self.store, &entry)?;
        }
        self.warn_of_impostors(came)
    }

    pub(super) fn room_notice(&mut self, text: &str) -> Result<(), StoreError> {
        let mid = self.new_mid();
        self.room.log.notice(&mut self.store, mid, self.now.wall, text.to_owned())
    }

    fn new_mid(&mut self) -> Mid {
        Mid::from_parts(self.now.wall, self.rng.random())
    }

    /// Members that were missing for too long have left.
    pub(super) fn presence_deadlines(&mut self) -> Result<(), StoreError> {
        let gone = self.room.presence.expire(self.now.mono);
        self.on_presence(gone, &[])
    }
}
