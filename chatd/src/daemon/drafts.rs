//! Lines that were begun in a session and not sent: kept with the session, whichever terminal it is shown on.

use proto::ipc::{Reply, SessionRef};
use proto::text::Text;

use super::Core;
use super::calls::{Answer, no_session};

impl Core {
    pub(super) fn draft(&self, session: &SessionRef) -> Answer {
        match self.find(session) {
            Some(log) => Ok(Ok(Reply::Draft { text: self.store.draft(log)? })),
            None => Ok(Err(no_session(session))),
        }
    }

    pub(super) fn keep_draft(&mut self, session: &SessionRef, text: &Text) -> Answer {
        let Some(log) = self.find(session) else { return Ok(Err(no_session(session))) };
        self.store.keep_draft(log, text)?;
        Ok(Ok(Reply::Done))
    }

    pub(super) fn drop_draft(&mut self, session: &SessionRef, text: &Text) -> Answer {
        let Some(log) = self.find(session) else { return Ok(Err(no_session(session))) };
        self.store.drop_draft(log, text)?;
        Ok(Ok(Reply::Done))
    }
}
