//! What lines that are typed do, and what answers to them show. Pure: lines and answers in, calls and output out.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use proto::ids::{Mid, SessionNo};
use proto::ipc::{Call, Range, Reader, SessionRef};
use proto::limits::PAGE_ENTRIES;
use proto::name::Name;
use proto::text::Text;

use super::commands::{Typed, parse};
use super::completion::Words;
use super::drafts::Drafts;
use super::follow::Follow;
use super::mid;
use super::screen::Prompt;
use super::step::{PageAsk, Step};
use crate::failure::Failure;
use crate::render::{Style, View};

/// Most messages without the daemon's answer; more have to wait at the prompt.
const MAX_UNANSWERED: usize = 64;

/// Whether a person looks on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// A person types: the prompt comes back at once, a failure is told.
    Person,
    /// A script: each line is answered before the next is read, a failure is the exit code.
    Script,
}

/// The link to the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// There is none.
    Down,
    /// Questions are answered.
    Up,
    /// The daemon has said that it stops.
    Ending,
}

/// What an answer will be used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing but its being there.
    Watch,
    /// [`Follow::page`].
    Page(PageAsk),
    /// How a session ended.
    WhoLeft(View),
    /// [`Follow::marked`].
    Mark,
    /// A message.
    Send(Mid),
    /// `\users`, page by page; the first page has a head.
    Users {
        /// It is the first page.
        first: bool,
    },
    /// Names for the completion.
    Roster,
    /// `\fork`.
    Fork,
    /// The row of a session that was forked.
    Forked(SessionNo),
    /// `\leave`.
    Leave,
    /// The rows after a session was left.
    Left,
    /// `\history`.
    History(View),
    /// `\search`.
    Search,
    /// `\accept`, `\decline`, `\block`, `\unblock`: what is said once it is done.
    Consent(String),
    /// `\verify NAME`.
    Verify,
    /// `\verify NAME ok`.
    Verified(Name),
    /// `\trust`.
    Trust,
    /// `\blocks`, page by page.
    Blocks {
        /// It is the first page.
        first: bool,
    },
    /// `\forget`.
    Forget(Name),
    /// A draft that is kept or dropped.
    Kept,
    /// The draft of a session that became the active one.
    Draft(SessionRef),
    /// `\quit`.
    Quit,
}

/// A message that the daemon has not on its disk yet.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) mid: Mid,
    pub(super) session: SessionRef,
    pub(super) text: Text,
    /// The draft that it was.
    pub(super) draft: Option<Text>,
}

/// See the module.
#[derive(Debug)]
pub struct App {
    /// What the screen has been shown.
    pub follow: Follow,
    pub(super) manner: Manner,
    words: Arc<Mutex<Words>>,
    pub(super) link: Link,
    /// Answers that are awaited, by the id of the question.
    awaited: HashMap<u64, Purpose>,
    /// Messages without an answer, oldest first.
    pub(super) unanswered: VecDeque<Outgoing>,
    /// A command waits for its answer: no line is read meanwhile.
    pub(super) busy: bool,
    /// A line was not done.
    pub(super) failed: bool,
    /// The person was told that the daemon is away.
    told_away: bool,
    exit: Option<Result<(), Failure>>,
    /// What the next line begins with: a draft, or what could not be sent.
    pub(super) draft: String,
    pub(super) drafts: Drafts,
    /// Who is to be forgotten once that is said again.
    pub(super) to_forget: Option<Name>,
    calls: Vec<(Call, Purpose)>,
    output: String,
}

impl App {
    /// A screen that begins in `session`, or in the lobby.
    pub fn new(style: Style, session: Option<SessionRef>, manner: Manner, words: Arc<Mutex<Words>>) -> Self {
        Self {
            follow: Follow::new(style, session),
            manner,
            words,
            link: Link::Down,
            awaited: HashMap::new(),
            unanswered: VecDeque::new(),
            busy: false,
            failed: false,
            told_away: false,
            exit: None,
            draft: String::new(),
            drafts: Drafts::default(),
            to_forget: None,
            calls: Vec::new(),
            output: String::new(),
        }
    }

    /// There is a link: watch, and send again what has no answer, under the same identities.
    pub fn link_up(&mut self) {
        self.link = Link::Up;
        self.follow.link_up();
        if std::mem::take(&mut self.told_away) {
            self.tell("daemon is back");
        }
        self.ask(Call::Watch, Purpose::Watch);
        for Outgoing { mid, session, text, draft } in &self.unanswered {
            let (session, text, draft) = (session.clone(), text.clone(), draft.clone());
            let call = Call::Send { session, mid: *mid, text, draft };
            self.calls.push((call, Purpose::Send(*mid)));
        }
    }

    /// The link is gone. What was asked on it will not be answered.
    pub fn link_down(&mut self) {
        match std::mem::replace(&mut self.link, Link::Down) {
            Link::Down => return,
            Link::Ending => return self.goodbye(),
            Link::Up => {}
        }
        self.calls.clear();
        self.awaited.clear();
        self.drafts_unsure();
        self.tell("daemon went away, trying again");
        self.told_away = true;
        if self.busy && self.unanswered.is_empty() {
            self.busy = false;
            self.fail("The last command was not answered; see what it has done with: \\ss");
        }
    }

    /// The daemon stops because the user wants it.
    pub fn goodbye(&mut self) {
        self.tell("signed off");
        self.finish(Ok(()));
    }

    /// The calls to make, each with what [`App::asked`] has to be told.
    pub fn take_calls(&mut self) -> Vec<(Call, Purpose)> {
        std::mem::take(&mut self.calls)
    }

    /// A call was made under that id.
    pub fn asked(&mut self, id: u64, purpose: Purpose) {
        self.awaited.insert(id, purpose);
    }

    /// The daemon has not said yet that it has what is begun.
    pub fn is_keeping(&self) -> bool {
        self.awaited.values().any(|purpose| *purpose == Purpose::Kept)
    }

    pub(super) fn awaited(&mut self, id: u64) -> Option<Purpose> {
        self.awaited.remove(&id)
    }

    /// What to print, each line with its end.
    pub fn take_output(&mut self) -> String {
        std::mem::take(&mut self.output)
    }

    /// How it ended, once it has.
    pub fn take_exit(&mut self) -> Option<Result<(), Failure>> {
        self.exit.take()
    }

    /// Whether the next line may be read.
    pub fn wants_line(&self) -> bool {
        let room = self.unanswered.len() < MAX_UNANSWERED;
        let calm = self.manner == Manner::Person || self.follow.is_idle();
        let settled = self.follow.is_primed() && !self.follow.is_ending();
        settled && !self.busy && room && calm && !self.drafts.are_awaited() && self.exit.is_none()
    }

    /// What the next line begins with.
    pub fn take_draft(&mut self) -> String {
        self.line_begins();
        std::mem::take(&mut self.draft)
    }

    /// What stands before the next line.
    pub fn prompt(&self) -> Prompt {
        let active = self.follow.active();
        let what = match self.follow.row(active).and_then(|row| Some((row.mode?, row.peer.as_ref()?))) {
            Some((mode, peer)) => format!("{active} {} {}", mode.mark(), peer.name),
            None => "0 lobby".to_owned(),
        };
        let others = self.follow.sessions().filter(|row| row.session != active && row.unread > 0);
        let unread: Vec<_> = others.map(|row| format!("{}:{}", row.session, row.unread)).collect();
        let short = format!("[{what}] ");
        let text =
            if unread.is_empty() { short.clone() } else { format!("[{what} | {}] ", unread.join(" ")) };
        Prompt { text, short, session: active }
    }

    /// A line was typed; `session` is the one that its prompt showed.
    pub fn line(&mut self, line: String, session: Option<SessionNo>) {
        match parse(&line) {
            Ok(Typed::Text("")) => {}
            Ok(Typed::Text(text)) => {
                let text = Text::new(text);
                self.text(text.map_err(|error| (error.to_string(), line)), session);
            }
            Ok(Typed::Command(verb, arg)) => {
                self.begun("");
                self.command(verb, arg);
            }
            Err(error) => self.fail(&error.to_string()),
        }
        self.settle();
    }

    /// A row of the input is no message.
    pub fn bad_line(&mut self, why: &str) {
        self.fail(why);
    }

    /// The line that was being typed was thrown away.
    pub fn cleared(&mut self) {
        self.begun("");
    }

    /// No more lines: a person leaves the screen, a script is done.
    pub fn end_of_input(&mut self) {
        self.detach();
    }

    /// Ctrl-C on an empty line.
    pub fn interrupted(&mut self) {
        self.tell("To leave the screen: \\detach or Ctrl-D; to sign off: \\quit");
    }

    /// A wait for an answer is given up, by Ctrl-C.
    pub fn give_up(&mut self) {
        self.busy = false;
    }

    fn text(&mut self, text: Result<Text, (String, String)>, session: Option<SessionNo>) {
        let text = match text {
            Ok(text) => text,
            Err((why, line)) => {
                // The text is kept for the person to shorten.
                self.draft = line;
                return self.fail(&format!("Not sent: {why}"));
            }
        };
        let session = session.unwrap_or(self.follow.active());
        let Some(row) = self.follow.row(session) else {
            self.draft = text.into();
            return self.fail("Not sent: that session has ended, and you are in another one now");
        };
        // On a link that comes back numbers may have changed; a name has not.
        let session = match &row.peer {
            Some(peer) if self.link == Link::Down => SessionRef::Peer(peer.name.clone()),
            _ => SessionRef::Number(session),
        };
        let again = row.peer.as_ref().map(|peer| SessionRef::Peer(peer.name.clone()));
        let mid = mid::fresh();
        self.follow.typed(mid);
        let draft = self.drafts.kept.take();
        if self.link == Link::Up {
            let (session, text, draft) = (session.clone(), text.clone(), draft.clone());
            self.ask(Call::Send { session, mid, text, draft }, Purpose::Send(mid));
        }
        self.unanswered.push_back(Outgoing { mid, session: again.unwrap_or(session), text, draft });
        self.busy = self.manner == Manner::Script;
    }

    pub(super) fn ask(&mut self, call: Call, purpose: Purpose) {
        self.calls.push((call, purpose));
    }

    pub(super) fn finish(&mut self, outcome: Result<(), Failure>) {
        self.exit.get_or_insert(outcome);
    }

    pub(super) fn print(&mut self, lines: &str) {
        self.output.push_str(lines);
        self.output.push('\n');
    }

    /// A notice.
    pub fn tell(&mut self, text: &str) {
        let line = self.follow.style.notice(text);
        self.print(&line);
    }

    /// A notice that something was not done.
    pub(super) fn fail(&mut self, text: &str) {
        self.failed = true;
        self.tell(text);
    }

    pub(super) fn steps(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Print(lines) => self.print(&lines),
                Step::Read(ask) => {
                    let limit = u32::try_from(PAGE_ENTRIES).unwrap_or(u32::MAX);
                    let (session, range) = (ask.session.clone(), Range::After(ask.after));
                    self.ask(Call::Read { session, range, limit }, Purpose::Page(ask));
                }
                Step::WhoLeft(view) => self.who_left(view),
                Step::Mark(session, seq) => {
                    self.ask(Call::Mark { reader: Reader::Person, session, seq }, Purpose::Mark);
                }
            }
        }
    }

    fn who_left(&mut self, view: View) {
        let Some(name) = view.peer.clone() else { return };
        let range = Range::Before(proto::ids::Seq::END);
        let call = Call::Read { session: SessionRef::Peer(name), range, limit: 16 };
        self.ask(call, Purpose::WhoLeft(view));
    }

    /// After anything that may have changed what can be completed.
    pub(super) fn settle(&mut self) {
        if self.link == Link::Up && self.follow.take_roster_changed() {
            self.ask(Call::Users { after: None }, Purpose::Roster);
        }
        let sessions = self.follow.sessions().map(|row| (row.session, View::of(row).title().to_owned()));
        let sessions = sessions.collect();
        self.with_words(|words| words.sessions = sessions);
        self.settle_draft();
    }

    pub(super) fn with_words(&self, change: impl FnOnce(&mut Words)) {
        change(&mut self.words.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
