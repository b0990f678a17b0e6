//! The line of each session that was begun and not sent.

use proto::text::Text;
use rusqlite::{OptionalExtension, params};

use super::{LogId, Store, StoreError};

impl Store {
    /// The draft of a session; `None` where there is none.
    pub fn draft(&self, log: LogId) -> Result<Option<Text>, StoreError> {
        let mut query = self.db.prepare_cached("SELECT text FROM draft WHERE log = ?1")?;
        let text: Option<String> = query.query_row([log.0], |row| row.get(0)).optional()?;
        text.map(|text| Text::new(text).map_err(|_| StoreError::Broken("draft"))).transpose()
    }

    /// Keeps a draft in place of the one before.
    pub fn keep_draft(&mut self, log: LogId, text: &Text) -> Result<(), StoreError> {
        let db = self.write()?;
        db.prepare_cached("INSERT OR REPLACE INTO draft (log, text) VALUES (?1, ?2)")?
            .execute(params![log.0, text.as_str()])?;
        Ok(())
    }

    /// Forgets a draft if it is this one.
    pub fn drop_draft(&mut self, log: LogId, text: &Text) -> Result<(), StoreError> {
        let db = self.write()?;
        db.prepare_cached("DELETE FROM draft WHERE log = ?1 AND text = ?2")?
            .execute(params![log.0, text.as_str()])?;
        Ok(())
    }
}
