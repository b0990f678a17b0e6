//! Questions that change nothing. They are answered at the end of a step, from what is on the disk by then.

use proto::ipc::{Call, CallError, Changes, Reply, SessionRef};
use proto::name::Name;
use tokio::sync::oneshot;

use super::{Core, Effect, Known, Place};
use crate::store::StoreError;

/// A question that waits for the end of the step, and who asked it.
#[derive(Debug)]
pub(super) enum Question {
    /// A call for which [`is_question`] holds.
    Call(Call, oneshot::Sender<Reply>),
    /// Where a session's log is.
    Place(SessionRef, oneshot::Sender<Result<Place, CallError>>),
    /// Where all logs are.
    Places(oneshot::Sender<Vec<Place>>),
    /// Whose key a name stands for.
    Known(Name, oneshot::Sender<Result<Known, CallError>>),
    /// What has changed after a version.
    Changes(u64, oneshot::Sender<(u64, Changes)>),
}

/// The call changes nothing.
pub(super) fn is_question(call: &Call) -> bool {
    matches!(
        call,
        Call::State
            | Call::Users { .. }
            | Call::Cursor { .. }
            | Call::Draft { .. }
            | Call::Blocks { .. }
            | Call::Peers { .. }
    )
}

impl Core {
    /// Answers all that were asked in this step.
    pub(super) fn answer_questions(&mut self) -> Result<(), StoreError> {
        for question in std::mem::take(&mut self.questions) {
            match question {
                Question::Call(call, reply) => {
                    let answer = self.call(call);
                    self.reply(reply, "", answer)?;
                }
                Question::Place(session, reply) => self.on_place(&session, reply),
                Question::Places(reply) => {
                    let places = self.places();
                    self.effects.push(Effect::Places(reply, places));
                }
                Question::Known(name, reply) => self.on_known(&name, reply),
                Question::Changes(since, reply) => self.on_changes(since, reply),
            }
        }
        Ok(())
    }
}
