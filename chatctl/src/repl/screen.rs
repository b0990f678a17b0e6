//! The screen that the prompt and the lines that come in share.
//!
//! While somebody types, lines wait in one place and are drawn together with the prompt, by the very call that
//! redraws it: the typed line is never torn and the order is always the one in which lines were printed. A thread
//! of its own ([`Screen::wake_through`]) asks the line editor to redraw; what it sends through the editor's own
//! queue carries no text, so that nothing can be left behind there when the editor returns.

use std::io::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use proto::ids::SessionNo;
use rustyline::ExternalPrinter;
use tokio::sync::Notify;
use unicode_width::UnicodeWidthStr as _;

/// Most bytes that wait for the line editor before the producer has to wait.
const MAX_WAITING: usize = 256 * 1024;

/// Makes the line editor redraw. It wants a line end; going up first, nothing has moved after it.
const REDRAW: &str = "\x1b[A\n";

/// What the prompt says, and of which session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// As it is shown, with what is unread elsewhere.
    pub text: String,
    /// Without it, for a row that has no room.
    pub short: String,
    /// Where a text goes.
    pub session: SessionNo,
}

/// Whether a line is being read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Typing {
    /// No: lines are written at once.
    #[default]
    No,
    /// It is about to: nothing may be written any more but through the editor.
    Begins,
    /// The editor has drawn its prompt: it can be interrupted.
    Live,
}

/// What is not to be finished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Ending {
    /// Nothing.
    #[default]
    Nothing,
    /// The line that is being read.
    Line,
    /// No more lines are read.
    All,
}

#[derive(Debug, Default)]
struct State {
    /// Lines that wait for the next redraw, each with its line end.
    waiting: String,
    typing: Typing,
    /// A redraw is wanted.
    wanted: bool,
    ending: Ending,
    /// A key wants another session; what stood in the line then.
    switch: Option<(SessionNo, String)>,
    /// Nobody reads what is written.
    closed: bool,
    /// What the prompt should be now.
    prompt: Option<Prompt>,
    /// The session that the prompt on the screen shows.
    drawn: SessionNo,
}

/// See the module. Clones share the screen.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    room: Notify,
}

impl Screen {
    /// A lock of `std`: it is held for moments only, by threads that are not all asynchronous.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints lines, each with its line end.
    pub fn print(&self, lines: &str) {
        if lines.is_empty() {
            return;
        }
        let mut state = self.state();
        if state.typing == Typing::No {
            write(&mut state, lines);
        } else {
            state.waiting.push_str(lines);
            state.wanted = true;
            self.shared.wake.notify_one();
        }
    }

    /// Changes the prompt, also under a line that is being typed.
    pub fn set_prompt(&self, prompt: Prompt) {
        let mut state = self.state();
        if state.prompt.as_ref() != Some(&prompt) {
            state.prompt = Some(prompt);
            state.wanted = state.typing != Typing::No;
            self.shared.wake.notify_one();
        }
    }

    /// Whether more may be printed now.
    pub fn has_room(&self) -> bool {
        self.state().waiting.len() < MAX_WAITING
    }

    /// Waits until there is room again.
    pub async fn room(&self) {
        loop {
            let drawn = self.shared.room.notified();
            if self.has_room() {
                return;
            }
            drawn.await;
        }
    }

    /// Nobody reads what is written here.
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// A line is about to be read. `false`: no more lines are wanted.
    pub fn begin_line(&self) -> bool {
        let mut state = self.state();
        state.switch = None;
        if state.ending == Ending::All {
            return false;
        }
        state.ending = Ending::Nothing;
        state.typing = Typing::Begins;
        true
    }

    /// A line was read. Gives the session that its prompt showed.
    pub fn end_line(&self) -> SessionNo {
        let mut state = self.state();
        state.typing = Typing::No;
        let waiting = std::mem::take(&mut state.waiting);
        write(&mut state, &waiting);
        self.shared.room.notify_one();
        state.drawn
    }

    /// What the editor has to draw in place of its prompt `raw`: the lines that waited and the prompt of now, which
    /// must be as wide as `raw` because the editor has its columns counted already.
    pub fn draw(&self, raw: &str) -> (String, String) {
        let mut state = self.state();
        if state.typing == Typing::Begins {
            state.typing = Typing::Live;
            state.drawn = state.prompt.as_ref().map_or(SessionNo::LOBBY, |prompt| prompt.session);
            if state.ending != Ending::Nothing {
                interrupt();
            }
        }
        let shown = match &state.prompt {
            Some(prompt) => match fit(prompt, raw) {
                Some(text) => {
                    state.drawn = prompt.session;
                    text
                }
                None => raw.to_owned(),
            },
            None => raw.to_owned(),
        };
        let lines = std::mem::take(&mut state.waiting);
        self.shared.room.notify_one();
        (lines, shown)
    }

    /// Ends the reading of lines, also of one that is being typed. The editor restores the terminal.
    pub fn stop(&self) {
        let mut state = self.state();
        state.ending = Ending::All;
        state.wanted = false;
        self.shared.wake.notify_one();
        if state.typing == Typing::Live {
            interrupt();
        }
    }

    /// Ends the line that is being typed, and only that one. Nothing is done where none is.
    pub fn take_line(&self) {
        let mut state = self.state();
        if state.ending == Ending::Nothing && state.typing != Typing::No {
            state.ending = Ending::Line;
            if state.typing == Typing::Live {
                interrupt();
            }
        }
    }

    /// Ends the line that is being typed for a switch to another session.
    pub fn switch_to(&self, number: SessionNo, line: String) {
        self.state().switch.get_or_insert((number, line));
        self.take_line();
    }

    /// The line was ended from outside.
    pub fn is_taken(&self) -> bool {
        self.state().ending == Ending::Line
    }

    /// The switch that ended the line, and what stood in it.
    pub fn switches(&self) -> Option<(SessionNo, String)> {
        self.state().switch.take()
    }

    /// Lines are no longer wanted.
    pub fn is_stopped(&self) -> bool {
        self.state().ending == Ending::All
    }

    /// Asks `printer` for a redraw whenever one is wanted, until the end. Blocks while the editor cannot redraw.
    pub fn wake_through(&self, mut printer: impl ExternalPrinter) {
        loop {
            let mut state = self.state();
            while !state.wanted && state.ending != Ending::All {
                state = self.shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.ending == Ending::All {
                return;
            }
            state.wanted = false;
            let typing = state.typing;
            drop(state);
            if typing != Typing::No && printer.print(REDRAW.to_owned()).is_err() {
                return;
            }
        }
    }
}

/// The prompt in exactly the columns of `raw`; `None` where it has no room.
fn fit(prompt: &Prompt, raw: &str) -> Option<String> {
    let columns = raw.width();
    let text = [&prompt.text, &prompt.short].into_iter().find(|text| text.width() <= columns)?;
    let mut text = text.clone();
    let missing = columns - text.width();
    text.extend(std::iter::repeat_n(' ', missing));
    Some(text)
}

fn write(state: &mut State, lines: &str) {
    if state.closed || lines.is_empty() {
        return;
    }
    let mut out = io::stdout().lock();
    state.closed = out.write_all(lines.as_bytes()).and_then(|()| out.flush()).is_err();
}

/// The line editor returns on SIGINT and restores the terminal; it has no other way to be ended from outside.
#[cfg(unix)]
fn interrupt() {
    use rustix::process::{Signal, getpid, kill_process};
    // To oneself it cannot fail; and if it did, the next key would end the line just as well.
    let _ = kill_process(getpid(), Signal::INT);
}

#[cfg(not(unix))]
fn interrupt() {}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(text: &str, session: u32) -> Prompt {
        Prompt { text: text.into(), short: "[0 lobby] ".into(), session: SessionNo(session) }
    }

    #[test]
    fn lines_printed_while_somebody_types_wait_for_the_redraw_in_order() {
        let screen = Screen::default();
        assert!(screen.begin_line());
        screen.print("one\n");
        screen.print("two\n");
        assert_eq!(screen.draw("> "), ("one\ntwo\n".into(), "> ".into()));
        assert_eq!(screen.draw("> ").0, "");
    }

    #[test]
    fn the_prompt_under_a_typed_line_keeps_its_columns() {
        let screen = Screen::default();
        screen.set_prompt(prompt("[0 lobby | 2:14] ", 0));
        screen.begin_line();
        assert_eq!(screen.draw("[1 P-> bobby] ").1, "[0 lobby]     ");
        assert_eq!(screen.draw("[1 P-> bobby | 2:1] ").1, "[0 lobby | 2:14]    ");
        assert_eq!(screen.draw("> ").1, "> ");
    }

    #[test]
    fn a_line_belongs_to_the_session_that_its_prompt_showed() {
        let screen = Screen::default();
        screen.set_prompt(prompt("[1 P-> bobby] ", 1));
        screen.begin_line();
        screen.draw("[1 P-> bobby] ");
        screen.set_prompt(prompt("[0 lobby] ", 0));
        assert_eq!(screen.end_line(), SessionNo(1), "the new prompt was not drawn yet");
        screen.begin_line();
        screen.draw("[0 lobby] ");
        assert_eq!(screen.end_line(), SessionNo(0));
    }

    #[test]
    fn a_full_screen_makes_the_producer_wait() {
        let screen = Screen::default();
        screen.begin_line();
        screen.print(&"x".repeat(MAX_WAITING));
        assert!(!screen.has_room());
        screen.draw("> ");
        assert!(screen.has_room());
    }
}
