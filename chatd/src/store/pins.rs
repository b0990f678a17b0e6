//! Whom this daemon knows: one key for each name, from the first contact on.

use proto::ids::{Key, WallMs};
use proto::ipc::Trust;
use proto::name::Name;
use rusqlite::params;

use super::{Store, StoreError};

/// A key and the name that it goes by here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinRow {
    /// Who it is.
    pub key: Key,
    /// What it is called here. No two pins have the same name.
    pub name: Name,
    /// The person has compared codes with its owner.
    pub verified: bool,
    /// When it was met first.
    pub since: WallMs,
}

impl PinRow {
    /// The word for it in lists.
    pub fn trust(&self) -> Trust {
        if self.verified { Trust::Verified } else { Trust::Pinned }
    }
}

impl Store {
    /// Every pin.
    pub fn pins(&self) -> Result<Vec<PinRow>, StoreError> {
        let mut query = self.db.prepare_cached("SELECT key, name, trust, since FROM pin")?;
        let mut rows = query.query([])?;
        let mut pins = Vec::new();
        while let Some(row) = rows.next()? {
            pins.push(PinRow {
                key: Key::from_slice(&row.get::<_, Vec<u8>>(0)?).ok_or(StoreError::Broken("pinned key"))?,
                name: Name::new(row.get::<_, String>(1)?).map_err(|_| StoreError::Broken("pinned name"))?,
                verified: match row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)? {
                    "pinned" => false,
                    "verified" => true,
                    _ => return Err(StoreError::Broken("trust of a pin")),
                },
                since: WallMs(row.get(3)?),
            });
        }
        Ok(pins)
    }

    /// Writes a pin, new or known.
    pub fn put_pin(&mut self, pin: &PinRow) -> Result<(), StoreError> {
        let db = self.write()?;
        let trust = if pin.verified { "verified" } else { "pinned" };
        db.prepare_cached("INSERT OR REPLACE INTO pin (key, name, trust, since) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![pin.key.0, pin.name.as_str(), trust, pin.since.0])?;
        Ok(())
    }
    /// Forgets a pin.
    pub fn drop_pin(&mut self, key: &Key) -> Result<(), StoreError> {
        let db = self.write()?;
        db.prepare_cached("DELETE FROM pin WHERE key = ?1")?.execute([key.0])?;
        Ok(())
    }
}
