//! Whom this daemon knows, in memory: one key for each name.

use std::collections::{BTreeMap, HashMap};

use proto::ids::{Key, WallMs};
use proto::ipc::Trust;
use proto::name::Name;

use crate::store::{PinRow, Store, StoreError};

/// The pins, and the keys that were seen in their place.
#[derive(Debug, Default)]
pub(super) struct Pins {
    by_key: BTreeMap<Key, PinRow>,
    by_name: HashMap<String, Key>,
    /// The key that the person was warned of, by the name it was seen under: this one `trust` accepts, and no other.
    warned: HashMap<String, Key>,
}

impl Pins {
    /// Takes them up where the store has them.
    pub(super) fn load(store: &Store) -> Result<Self, StoreError> {
        let mut pins = Self::default();
        for pin in store.pins()? {
            pins.put(pin);
        }
        Ok(pins)
    }

    /// Takes them up once more: memory is what is on the disk.
    pub(super) fn reload(&mut self, store: &Store) -> Result<(), StoreError> {
        let warned = std::mem::take(&mut self.warned);
        *self = Self { warned, ..Self::load(store)? };
        Ok(())
    }

    fn put(&mut self, pin: PinRow) {
        if let Some(before) = self.by_key.get(&pin.key) {
            self.by_name.remove(&before.name.folded());
        }
        self.by_name.insert(pin.name.folded(), pin.key);
        self.by_key.insert(pin.key, pin);
    }

    /// The pin of a key.
    pub(super) fn get(&self, key: &Key) -> Option<&PinRow> {
        self.by_key.get(key)
    }

    /// The pin of a name; case does not count.
    pub(super) fn named(&self, name: &Name) -> Option<&PinRow> {
        self.by_name.get(&name.folded()).and_then(|key| self.by_key.get(key))
    }

    /// The pin that stands against this key under this name.
    pub(super) fn against(&self, name: &Name, key: &Key) -> Option<&PinRow> {
        self.named(name).filter(|pin| pin.key != *key)
    }

    /// What is known of a key that goes by this name.
    pub(super) fn trust(&self, name: &Name, key: &Key) -> Trust {
        match (self.against(name, key), self.get(key)) {
            (Some(_), _) => Trust::Changed,
            (None, Some(pin)) => pin.trust(),
            (None, None) => Trust::New,
        }
    }

    /// What is known of a key, whatever name it goes by.
    pub(super) fn trust_in(&self, key: &Key) -> Trust {
        self.get(key).map_or(Trust::New, PinRow::trust)
    }

    /// First contact: from now on the name stands for this key.
    pub(super) fn pin(
        &mut self,
        store: &mut Store,
        key: Key,
        name: Name,
        since: WallMs,
    ) -> Result<(), StoreError> {
        let pin = PinRow { key, name, verified: false, since };
        store.put_pin(&pin)?;
        self.put(pin);
        Ok(())
    }

    /// Everybody who is known.
    pub(super) fn all(&self) -> impl Iterator<Item = &PinRow> {
        self.by_key.values()
    }

    /// A key is not known any more, and its name is free.
    pub(super) fn forget(&mut self, store: &mut Store, key: &Key) -> Result<(), StoreError> {
        if let Some(pin) = self.by_key.remove(key) {
            self.by_name.remove(&pin.name.folded());
            self.settled(&pin.name);
            store.drop_pin(key)?;
        }
        Ok(())
    }

    /// A known key goes by another name from now on.
    pub(super) fn rename(&mut self, store: &mut Store, key: &Key, name: Name) -> Result<(), StoreError> {
        let Some(pin) = self.by_key.get(key) else { return Ok(()) };
        let pin = PinRow { name, ..pin.clone() };
        store.put_pin(&pin)?;
        self.put(pin);
        Ok(())
    }

    /// The person has compared the code of a known key.
    pub(super) fn verify(&mut self, store: &mut Store, key: &Key) -> Result<(), StoreError> {
        let Some(pin) = self.by_key.get_mut(key) else { return Ok(()) };
        pin.verified = true;
        store.put_pin(pin)
    }

    /// The person was shown that this key goes by a known name.
    pub(super) fn warn(&mut self, name: &Name, key: Key) {
        self.warned.insert(name.folded(), key);
    }

    /// The key that the person was shown last under this name.
    pub(super) fn warned(&self, name: &Name) -> Option<Key> {
        self.warned.get(&name.folded()).copied()
    }

    /// The person has decided.
    pub(super) fn settled(&mut self, name: &Name) {
        self.warned.remove(&name.folded());
    }
}
