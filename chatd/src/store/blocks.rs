//! Whom the person has blocked.

use proto::ids::{Key, WallMs};
use proto::name::Name;
use rusqlite::params;

use super::{Store, StoreError};

impl Store {
    /// Every key that is blocked, with the name that it had then.
    pub fn blocks(&self) -> Result<Vec<(Key, Name)>, StoreError> {
        let mut query = self.db.prepare_cached("SELECT key, name FROM block")?;
        let mut rows = query.query([])?;
        let mut blocks = Vec::new();
        while let Some(row) = rows.next()? {
            blocks.push((
                Key::from_slice(&row.get::<_, Vec<u8>>(0)?).ok_or(StoreError::Broken("blocked key"))?,
                Name::new(row.get::<_, String>(1)?).map_err(|_| StoreError::Broken("blocked name"))?,
            ));
        }
        Ok(blocks)
    }

    /// Blocks a key.
    pub fn put_block(&mut self, key: &Key, name: &Name, since: WallMs) -> Result<(), StoreError> {
        let db = self.write()?;
        db.prepare_cached("INSERT OR REPLACE INTO block (key, name, since) VALUES (?1, ?2, ?3)")?
            .execute(params![key.0, name.as_str(), since.0])?;
        Ok(())
    }

    /// Blocks a key no more.
    pub fn drop_block(&mut self, key: &Key) -> Result<(), StoreError> {
        let db = self.write()?;
        db.prepare_cached("DELETE FROM block WHERE key = ?1")?.execute([key.0])?;
        Ok(())
    }
}
