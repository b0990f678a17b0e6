//! The code that two people compare, and what follows when they have.

use proto::ids::Key;
use proto::ipc::{CallError, ErrorCode, Reply, Trust};
use proto::name::Name;
use tokio::sync::oneshot;

use super::calls::{Answer, refuse};
use super::{Core, Effect};

/// Whose key is meant by a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The name as this daemon writes it.
    pub name: Name,
    /// Its key.
    pub key: Key,
    /// What is known of it.
    pub trust: Trust,
}

/// Keys whose codes were shown and may be declared the same; beyond, they are shown anew.
const MAX_COMPARED: usize = 64;

impl Core {
    /// The digits themselves are made elsewhere: they take a while.
    pub(super) fn on_known(&mut self, name: &Name, reply: oneshot::Sender<Result<Known, CallError>>) {
        let pinned = self.pins.named(name);
        let pinned = pinned.map(|pin| Known { name: pin.name.clone(), key: pin.key, trust: pin.trust() });
        // The key of somebody never spoken with is the lobby's word; that is what the comparison finds out.
        let present = || {
            let (key, name) = self.room.member(name).filter(|(key, _)| *key != self.me.key)?;
            Some(Known { trust: self.pins.trust(&name, &key), name, key })
        };
        let known = pinned.or_else(present).ok_or_else(|| CallError {
            code: ErrorCode::NoPeer,
            message: format!("{name} is neither in the lobby nor somebody you have spoken with"),
        });
        if let Ok(known) = &known {
            // What is compared is this key, whatever the name stands for when the person says that it is the same.
            if self.compared.len() >= MAX_COMPARED {
                self.compared.clear();
            }
            self.compared.insert(known.name.folded(), known.key);
        }
        self.effects.push(Effect::Known(reply, known));
    }

    /// The person has compared the digits.
    pub(super) fn verified(&mut self, name: &Name) -> Answer {
        let Some(key) = self.pins.named(name).map(|pin| pin.key) else {
            // Its key may be another one the next time that the lobby is asked.
            let message = format!("You have not spoken with {name} yet, do that first: \\fork {name}");
            return refuse(ErrorCode::NoPeer, message);
        };
        if self.compared.get(&name.folded()) != Some(&key) {
            let message = format!("Compare the codes first: \\verify {name}");
            return refuse(ErrorCode::Invalid, message);
        }
        self.pins.verify(&mut self.store, &key)?;
        if let Some(session) = self.find_key(&key).and_then(|log| self.sessions.get_mut(&log)) {
            session.log.changed = true;
        }
        Ok(Ok(Reply::Done))
    }
}
