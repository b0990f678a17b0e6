//! The key of a named lobby: remembered with its address from the first welcome on.

use std::time::Duration;

use proto::ids::Key;
use proto::ipc::{ErrorCode, LobbyState, Reply};
use tracing::warn;

use super::calls::{Answer, refuse};
use super::{Core, Effect};
use crate::identity::fingerprint;
use crate::store::StoreError;

/// The lobby's key on the present link, and the one that is not accepted.
#[derive(Debug, Default)]
pub(super) struct LobbyKey {
    /// Of the present link.
    present: Option<Key>,
    /// Answers at the lobby's address and is not the lobby that this daemon knows.
    changed: Option<Key>,
}

impl LobbyKey {
    /// Of the lobby on the present link.
    pub(super) fn present(&self) -> Option<Key> {
        self.present
    }
}

/// Under which name the key of the lobby at `addr` is kept among the store's named values.
pub(crate) fn pin_name(addr: &str) -> String {
    format!("lobby key of {addr}")
}

impl Core {
    fn lobby_pin_name(&self) -> String {
        pin_name(&self.setup.lobby)
    }

    fn lobby_pin(&self) -> Result<Option<Key>, StoreError> {
        let text = self.store.meta(&self.lobby_pin_name())?;
        text.map(|text| Key::parse(&text).map_err(|_| StoreError::Broken("key of the lobby"))).transpose()
    }

    /// A link stands. `false`: it is not to the lobby that this daemon knows; it is ended, and nothing was said on it.
    pub(super) fn check_lobby(&mut self, key: Key) -> Result<bool, StoreError> {
        self.lobby_key = LobbyKey { present: Some(key), changed: None };
        // The lobby of this machine is hosted by one daemon after the other: it has no key of its own.
        let Some(known) = self.lobby_pin()?.filter(|known| self.setup.named && *known != key) else {
            return Ok(true);
        };
        self.lobby_key.changed = Some(key);
        self.effects.push(Effect::LobbyClose(Duration::ZERO));
        let text = format!(
            "the key of the lobby {} HAS CHANGED. Someone may be posing as the lobby, or it was set up anew. \
             Nothing was sent. Known key {}, new key {}. Ask who runs it, then: chatctl trust lobby",
            self.setup.lobby,
            fingerprint(&known),
            fingerprint(&key)
        );
        warn!(text);
        self.room.lost(text);
        self.room.state = LobbyState::Changed;
        self.versions.daemon_changed = true;
        Ok(false)
    }

    /// The lobby that answers is not the one that this daemon knows.
    pub(super) fn lobby_is_strange(&self) -> bool {
        self.lobby_key.changed.is_some()
    }

    /// The lobby has welcomed us: at first contact its key is remembered.
    pub(super) fn pin_lobby(&mut self) -> Result<(), StoreError> {
        match self.lobby_key.present {
            Some(key) if self.setup.named && self.lobby_pin()?.is_none() => {
                self.store.set_meta(&self.lobby_pin_name(), &key.to_string())
            }
            _ => Ok(()),
        }
    }

    /// The person accepts the new key.
    pub(super) fn trust_lobby(&mut self) -> Answer {
        let Some(key) = self.lobby_key.changed.take() else {
            return refuse(ErrorCode::Invalid, "The key of the lobby has not changed");
        };
        self.store.set_meta(&self.lobby_pin_name(), &key.to_string())?;
        self.room.lost("its new key is accepted".to_owned());
        self.versions.daemon_changed = true;
        Ok(Ok(Reply::Trusted { fingerprint: fingerprint(&key), former: None }))
    }
}
