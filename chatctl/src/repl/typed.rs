//! What the commands of the prompt do.

use proto::ids::{Seq, SessionNo};
use proto::ipc::{Call, Range, SessionRef};
use proto::limits::PAGE_ENTRIES;
use proto::name::Name;
use proto::text::Words;

use super::app::{App, Link, Manner, Purpose};
use super::commands::{Verb, help};
use crate::commands::forget;
use crate::commands::search::MAX_HITS;
use crate::failure::Failure;
use crate::render::{self, SESSIONS_HEAD, View};

/// Lines that `\history` shows where nobody says how many.
const HISTORY: u32 = 20;

impl App {
    pub(super) fn command(&mut self, verb: Verb, arg: &str) {
        let to_forget = self.to_forget.take();
        match verb {
            Verb::Users => self.users(),
            Verb::Fork => self.fork(arg),
            Verb::Sessions => self.sessions(),
            Verb::Switch => self.switch(arg),
            Verb::Lobby => self.switch("0"),
            Verb::Leave => self.leave(),
            Verb::History => self.history(arg),
            Verb::Search => {
                self.command_call(
                    Call::Search { words: Words(arg.to_owned()), limit: MAX_HITS },
                    Purpose::Search,
                );
            }
            Verb::Accept => {
                self.consent(arg, "accepted", |name| Call::Accept { name });
            }
            Verb::Decline => self.consent(arg, "declined", |name| Call::Decline { name }),
            Verb::Block => self.consent(arg, "blocked", |name| Call::Block { name }),
            Verb::Unblock => self.consent(arg, "no longer blocked", |name| Call::Unblock { name }),
            Verb::Blocks => self.command_call(Call::Blocks { after: None }, Purpose::Blocks { first: true }),
            Verb::Forget => self.forget(arg, to_forget.as_ref()),
            Verb::Verify => self.verify(arg),
            Verb::Trust => self.trust(arg),
            Verb::Whoami => self.whoami(),
            Verb::Detach => self.detach(),
            Verb::Quit => self.command_call(Call::Quit, Purpose::Quit),
            Verb::Help => match help(arg) {
                Some(text) => self.print(&text),
                None => self.fail(&format!("There is no command \\{arg}; the commands: \\help")),
            },
        }
    }

    fn users(&mut self) {
        if self.only_in_lobby("users") {
            self.command_call(Call::Users { after: None }, Purpose::Users { first: true });
        }
    }

    fn fork(&mut self, arg: &str) {
        if !self.only_in_lobby("fork") {
            return;
        }
        match Name::new(arg) {
            Ok(name) => self.command_call(Call::Fork { name }, Purpose::Fork),
            Err(error) => self.fail(&format!("That is no name: {error}")),
        }
    }

    fn only_in_lobby(&mut self, command: &str) -> bool {
        let lobby = self.follow.active() == SessionNo::LOBBY;
        if !lobby {
            self.fail(&format!("\\{command} works in the lobby only, go there with: \\lob"));
        }
        lobby
    }

    fn sessions(&mut self) {
        let active = Some(self.follow.active());
        let rows: Vec<_> = self.follow.sessions().map(|row| render::session_row(row, active)).collect();
        self.print(SESSIONS_HEAD);
        for row in rows {
            self.print(&row);
        }
    }

    fn switch(&mut self, arg: &str) {
        let found = crate::cli::session(arg).ok().and_then(|session| self.follow.find(&session));
        let mut steps = Vec::new();
        if !found.is_some_and(|number| self.follow.switch(number, &mut steps)) {
            self.fail(&format!("There is no session {arg}, see: \\ss"));
        }
        self.steps(steps);
    }

    fn leave(&mut self) {
        let active = self.follow.active();
        if active == SessionNo::LOBBY {
            return self.fail("The lobby cannot be left; \\detach leaves the screen, \\quit signs off");
        }
        self.command_call(Call::Leave { session: SessionRef::Number(active) }, Purpose::Leave);
    }

    fn history(&mut self, arg: &str) {
        let Some(row) = self.follow.row(self.follow.active()) else { return };
        let most = u32::try_from(PAGE_ENTRIES).unwrap_or(u32::MAX);
        let limit = arg.parse().unwrap_or(HISTORY).min(most);
        let (view, session) = (View::of(row), SessionRef::Number(row.session));
        let range = Range::Before(Seq::END);
        self.command_call(Call::Read { session, range, limit }, Purpose::History(view));
    }

    fn consent(&mut self, arg: &str, done: &str, call: impl FnOnce(Name) -> Call) {
        match Name::new(arg) {
            Ok(name) => {
                let said = format!("{name} is {done}");
                self.command_call(call(name), Purpose::Consent(said));
            }
            Err(error) => self.fail(&format!("That is no name: {error}")),
        }
    }

    fn verify(&mut self, arg: &str) {
        let (name, ok) = arg.split_once(char::is_whitespace).unwrap_or((arg, ""));
        match Name::new(name) {
            Ok(name) if ok.is_empty() => self.command_call(Call::Verify { name }, Purpose::Verify),
            Ok(name) => self.command_call(Call::Verified { name: name.clone() }, Purpose::Verified(name)),
            Err(error) => self.fail(&format!("That is no name: {error}")),
        }
    }

    /// Only what is said twice in a row is done: it cannot be undone.
    fn forget(&mut self, arg: &str, to_forget: Option<&Name>) {
        match Name::new(arg) {
            Ok(name) if to_forget.is_some_and(|asked| asked.folded() == name.folded()) => {
                self.command_call(Call::Forget { name: name.clone() }, Purpose::Forget(name));
            }
            Ok(name) => {
                self.tell(&format!("{}; to do it, say again: \\forget {name}", forget::warning(&name)));
                self.to_forget = Some(name);
            }
            Err(error) => self.fail(&format!("That is no name: {error}")),
        }
    }

    fn trust(&mut self, arg: &str) {
        match crate::cli::session(arg) {
            Ok(who) => self.command_call(Call::Trust { who }, Purpose::Trust),
            Err(error) => self.fail(&format!("\\trust {arg}: {error}")),
        }
    }

    fn whoami(&mut self) {
        if let Some(daemon) = self.follow.daemon() {
            let text = format!("You are {}, your key is {}", daemon.name, daemon.fingerprint);
            self.tell(&text);
        }
    }

    pub(super) fn detach(&mut self) {
        if self.manner == Manner::Person {
            self.tell("Detached, everything goes on; come back with: chatctl attach");
        }
        let failed = self.failed && self.manner == Manner::Script;
        self.finish(if failed {
            Err(Failure::Failed("a line of the input was not done; see the output above".into()))
        } else {
            Ok(())
        });
    }

    fn command_call(&mut self, call: Call, purpose: Purpose) {
        if self.link == Link::Up {
            self.busy = true;
            self.ask(call, purpose);
        } else {
            self.fail("The daemon is away; try again in a moment");
        }
    }
}
