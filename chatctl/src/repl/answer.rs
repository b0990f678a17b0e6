//! What the daemon's answers and changes do.

use proto::ids::{Mid, SessionNo};
use proto::ipc::{Call, CallError, Changes, Entry, EntryKind, ErrorCode, Peer, Reply, UserRow};

use super::app::{App, Link, Manner, Purpose};
use super::completion::Offer;
use crate::commands::{forget, search, verify};
use crate::failure::Failure;
use crate::render::{self, View};

impl App {
    /// Rows have changed.
    pub fn changed(&mut self, changes: Changes) {
        let newcomer = !self.follow.is_primed();
        let mut steps = Vec::new();
        self.follow.changes(changes, &mut steps);
        self.steps(steps);
        if let Some(session) = self.follow.missing() {
            let what = match session {
                proto::ipc::SessionRef::Number(number) => number.to_string(),
                proto::ipc::SessionRef::Peer(name) => format!("with {name}"),
                proto::ipc::SessionRef::Key(key) => format!("with the key {key}"),
            };
            self.finish(Err(Failure::NotFound(format!(
                "there is no session {what}; list them with: chatctl sessions --all"
            ))));
        }
        if newcomer {
            self.ask(Call::Users { after: None }, Purpose::Roster);
        }
        self.settle();
    }

    /// The answer to the question with that id.
    pub fn answered(&mut self, id: u64, reply: Reply) {
        let Some(purpose) = self.awaited(id) else { return };
        match reply {
            Reply::Error(error) => self.refused(purpose, &error),
            reply => self.done(purpose, reply),
        }
        self.settle();
    }

    fn refused(&mut self, purpose: Purpose, error: &CallError) {
        let mut steps = Vec::new();
        match purpose {
            Purpose::Page(ask) => self.follow.page(&ask, None, &mut steps),
            Purpose::Mark => self.follow.marked(&mut steps),
            Purpose::WhoLeft(view) => self.ended(&view, &[]),
            Purpose::Roster | Purpose::Kept => {}
            Purpose::Draft(session) => self.draft_came(&session, None),
            Purpose::Send(mid) => {
                self.sent(mid);
                self.follow.refused(&mid);
                self.fail(&error.message);
            }
            Purpose::Watch => self.finish(Err(error.clone().into())),
            _ => {
                self.busy = false;
                self.failed_call(error);
            }
        }
        self.steps(steps);
    }

    fn failed_call(&mut self, error: &CallError) {
        match error.code {
            // Made of names and fingerprints alone, so no row of it can be somebody else's.
            ErrorCode::Changed => error.message.lines().for_each(|row| self.fail(row)),
            _ => self.fail(&error.message),
        }
    }

    fn done(&mut self, purpose: Purpose, reply: Reply) {
        let mut steps = Vec::new();
        match (purpose, reply) {
            (Purpose::Page(ask), Reply::Entries { entries, head, .. }) => {
                self.follow.page(&ask, Some((entries, head)), &mut steps);
            }
            (Purpose::Page(ask), _) => self.follow.page(&ask, None, &mut steps),
            (Purpose::Mark, _) => self.follow.marked(&mut steps),
            (Purpose::WhoLeft(view), Reply::Entries { entries, .. }) => self.ended(&view, &entries),
            (Purpose::Send(mid), _) => self.sent(mid),
            (Purpose::Roster, Reply::Users { users, .. }) => self.roster(&users),
            (Purpose::Users { first }, Reply::Users { users, more }) => self.users_page(&users, first, more),
            (Purpose::Fork, Reply::Forked { session }) => {
                // Its row may still be on its way: with it the switch shows the right prompt at once.
                self.ask(Call::State, Purpose::Forked(session));
            }
            (Purpose::Forked(session), Reply::State(state)) => self.forked(session, *state),
            // With the rows of now the next line is not typed into a session that has ended.
            (Purpose::Leave, Reply::Done) => self.ask(Call::State, Purpose::Left),
            (Purpose::Left, Reply::State(state)) => {
                self.busy = false;
                self.follow.changes(*state, &mut steps);
            }
            (Purpose::History(view), Reply::Entries { entries, .. }) => self.history_page(&view, &entries),
            (Purpose::Search, Reply::Found { hits, partial }) => {
                self.busy = false;
                if hits.is_empty() {
                    self.tell("Nothing found");
                }
                for hit in &hits {
                    let line = render::hit(hit, self.follow.style);
                    self.print(&line);
                }
                if partial {
                    self.tell(search::PARTIAL);
                }
            }
            (Purpose::Consent(said), Reply::Done | Reply::Forked { .. }) => {
                self.busy = false;
                self.tell(&said);
            }
            (Purpose::Verify, reply @ Reply::Code { .. }) => {
                self.busy = false;
                let screen = self.manner == Manner::Person;
                self.print(&verify::shown(&reply, self.follow.style, screen));
            }
            (Purpose::Draft(session), Reply::Draft { text }) => self.draft_came(&session, text),
            (Purpose::Quit, _) => self.link = Link::Ending,
            (Purpose::Draft(session), _) => self.draft_came(&session, None),
            (Purpose::Watch | Purpose::Roster | Purpose::Kept | Purpose::WhoLeft(_), _) => {}
            (purpose, reply) => self.judged(purpose, reply),
        }
        self.steps(steps);
    }

    /// What is known of people, and what the person has decided about them.
    fn judged(&mut self, purpose: Purpose, reply: Reply) {
        self.busy = false;
        match (purpose, reply) {
            (Purpose::Consent(said), Reply::Done | Reply::Forked { .. }) => self.tell(&said),
            (Purpose::Blocks { first }, Reply::Peers { peers, more }) => {
                self.blocks_page(&peers, first, more);
            }
            (Purpose::Forget(name), Reply::Done) => self.tell(&forget::done(&name)),
            (Purpose::Verify, reply @ Reply::Code { .. }) => {
                let screen = self.manner == Manner::Person;
                self.print(&verify::shown(&reply, self.follow.style, screen));
            }
            (Purpose::Verified(name), Reply::Done) => self.tell(&verify::done(&name)),
            (Purpose::Trust, Reply::Trusted { fingerprint, former }) => {
                self.tell(&render::trusted(&fingerprint, former.as_ref()));
            }
            _ => {}
        }
    }

    /// The daemon has the message, or does not want it.
    fn sent(&mut self, mid: Mid) {
        self.unanswered.retain(|outgoing| outgoing.mid != mid);
        self.busy = false;
    }

    fn roster(&mut self, users: &[UserRow]) {
        let others = users.iter().filter(|user| !user.is_self);
        let offer =
            |user: &UserRow| Offer { word: user.name.to_string(), note: render::lookalike_note(user) };
        let names = others.map(offer).collect();
        self.with_words(|words| words.users = names);
    }

    fn users_page(&mut self, users: &[UserRow], first: bool, more: bool) {
        if first {
            self.print("< Users in the lobby >");
            self.roster(users);
        }
        for user in users {
            self.print(&render::user_row(user));
        }
        match users.last() {
            Some(last) if more => {
                let after = Some(last.name.clone());
                self.ask(Call::Users { after }, Purpose::Users { first: false });
            }
            _ => self.busy = false,
        }
    }

    fn blocks_page(&mut self, peers: &[Peer], first: bool, more: bool) {
        if first && peers.is_empty() {
            self.tell("Nobody is blocked");
        } else if first {
            self.print("< Blocked >");
        }
        for peer in peers {
            self.print(&render::blocked(peer));
        }
        match peers.last() {
            Some(last) if more => {
                self.busy = true;
                self.ask(Call::Blocks { after: Some(last.key) }, Purpose::Blocks { first: false });
            }
            _ => {}
        }
    }

    fn forked(&mut self, session: SessionNo, state: Changes) {
        self.busy = false;
        let mut steps = Vec::new();
        self.follow.changes(state, &mut steps);
        if self.follow.active() != session && self.follow.row(session).is_some() {
            let text = format!("Auto switched to session {session}, for lobby do: \\lob");
            steps.push(super::step::Step::Print(self.follow.style.notice(&text)));
            self.follow.switch(session, &mut steps);
        }
        self.steps(steps);
    }

    fn history_page(&mut self, view: &View, entries: &[Entry]) {
        self.busy = false;
        for entry in entries {
            let line = view.entry(entry, self.follow.style);
            self.print(&line);
        }
    }

    fn ended(&mut self, view: &View, entries: &[Entry]) {
        let last = entries.iter().rev().find(|entry| entry.kind == EntryKind::Closed);
        let line = view.terminated(last.is_some_and(|entry| entry.mine), self.follow.style);
        self.print(&line);
    }
}
