//! The line that is begun in the active session and not sent yet: the daemon keeps it with the session.
//!
//! A line is kept where it is left (a switch, the end of the terminal) and after a short pause in typing, and is put
//! before the person again where its session becomes the active one. What stands at the prompt is never replaced.

use proto::ids::SessionNo;
use proto::ipc::{Call, SessionRef};
use proto::text::Text;

use super::app::{App, Link, Purpose};

/// What this terminal knows of the draft of its active session.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    /// Lines are edited here.
    pub(super) on: bool,
    /// Whose draft it is; `None` before the first session.
    session: Option<SessionRef>,
    /// The draft as the daemon has it, as far as it was told or asked from here.
    pub(super) kept: Option<Text>,
    showing: Showing,
    /// What was kept last may not have arrived.
    unsure: bool,
    /// The session that was left under a line that is still being typed.
    left: Option<SessionRef>,
}

/// Whether the draft is on its way to the prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Showing {
    /// No.
    #[default]
    Nothing,
    /// The daemon is asked for it: the next line waits.
    Awaited,
    /// It is there, and not at the prompt yet.
    Due,
}

impl Drafts {
    /// The daemon is asked what the next line begins with.
    pub(super) fn are_awaited(&self) -> bool {
        self.showing == Showing::Awaited
    }
}

impl App {
    /// Lines are edited: what is begun is kept.
    pub fn keep_drafts(&mut self) {
        self.drafts.on = true;
    }

    /// What is being typed, after a pause or as it is left.
    pub fn begun(&mut self, line: &str) {
        let Some(session) = self.drafts.session.clone().filter(|_| self.link == Link::Up) else { return };
        if self.drafts.left.is_some() || self.drafts.are_awaited() {
            return; // the line is still of another session
        }
        if line.len() > proto::limits::MAX_TEXT_LEN {
            return; // what was kept before is better than nothing
        }
        let draft = worth_keeping(line);
        let unsure = std::mem::take(&mut self.drafts.unsure);
        if draft == self.drafts.kept && !unsure {
            return;
        }
        match (draft, self.drafts.kept.take()) {
            (Some(text), _) => {
                self.drafts.kept = Some(text.clone());
                self.ask(Call::KeepDraft { session, text }, Purpose::Kept);
            }
            (None, Some(text)) => self.ask(Call::DropDraft { session, text }, Purpose::Kept),
            (None, None) => {}
        }
    }

    /// Whether the line that is being typed has to be taken away: its session is not the active one any more, or it is
    /// empty and there is a draft to show. What was typed comes back by [`App::taken`].
    pub fn takes_line(&self, line: &str) -> bool {
        match line {
            "" => self.drafts.showing == Showing::Due,
            line => self.drafts.left.is_some() && !is_command(line),
        }
    }

    /// The line was taken away.
    pub fn taken(&mut self, line: &str) {
        let draft = worth_keeping(line);
        match (self.drafts.left.take(), draft) {
            (Some(session), Some(text)) => {
                self.ask(Call::KeepDraft { session, text }, Purpose::Kept);
                self.tell("What you had begun was not sent; it is kept with its session");
            }
            // Typed while it was taken away.
            _ if !line.is_empty() => line.clone_into(&mut self.draft),
            _ => {}
        }
    }

    /// A key that switches: the line that was begun stays behind, `rest` was typed after the key.
    pub fn switched(&mut self, number: SessionNo, line: &str, rest: String) {
        self.begun(line);
        let mut steps = Vec::new();
        if self.follow.switch(number, &mut steps) {
            self.draft = rest;
        } else {
            line.clone_into(&mut self.draft);
            self.fail(&format!("There is no session {number}, see: \\ss"));
        }
        self.steps(steps);
        self.settle();
    }

    /// Nothing is known of the session's draft any more: the link is new.
    pub(super) fn drafts_unsure(&mut self) {
        self.drafts.unsure = true;
        if self.drafts.are_awaited() {
            self.drafts.showing = Showing::Nothing;
            self.drafts.session = None;
        }
    }

    /// Where another session is the active one now, its draft is asked for.
    pub(super) fn settle_draft(&mut self) {
        if !self.drafts.on || !self.follow.is_primed() || self.link != Link::Up {
            return;
        }
        let Some(row) = self.follow.row(self.follow.active()) else { return };
        let session = match &row.peer {
            Some(peer) => SessionRef::Key(peer.key),
            None => SessionRef::Number(SessionNo::LOBBY),
        };
        if self.drafts.session.as_ref() == Some(&session) {
            return;
        }
        self.drafts.left = self.drafts.session.replace(session.clone());
        self.drafts.kept = None;
        self.drafts.showing = Showing::Awaited;
        self.ask(Call::Draft { session: session.clone() }, Purpose::Draft(session));
    }

    /// The answer; `None`: there is no draft.
    pub(super) fn draft_came(&mut self, session: &SessionRef, text: Option<Text>) {
        if self.drafts.session.as_ref() != Some(session) {
            return;
        }
        self.drafts.showing = Showing::Nothing;
        self.drafts.kept.clone_from(&text);
        if let Some(text) = text.filter(|_| self.draft.is_empty()) {
            self.draft = text.into();
            self.drafts.showing = Showing::Due;
        }
    }

    /// A line was asked for: it shows what there was to show, and belongs to the active session.
    pub(super) fn line_begins(&mut self) {
        self.drafts.showing = Showing::Nothing;
        self.drafts.left = None;
    }
}

/// A line that is worth keeping: not blank, and no command.
fn worth_keeping(line: &str) -> Option<Text> {
    Text::new(line).ok().filter(|_| !is_command(line) && !line.trim().is_empty())
}

fn is_command(line: &str) -> bool {
    line.starts_with('\\') && !line.starts_with("\\\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_blank_lines_are_no_drafts() {
        for line in ["", "  ", "\\sw 1", "\\"] {
            assert_eq!(worth_keeping(line), None, "{line:?}");
        }
        for line in ["a", "\\\\text", "two\nrows"] {
            assert_eq!(worth_keeping(line).map(String::from).as_deref(), Some(line));
        }
    }
}
