//! The line editor on a terminal: keys, completion, and the screen it shares.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use proto::display;
use proto::ids::SessionNo;
use rustyline::completion::{Completer, Pair};
use rustyline::config::Configurer as _;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, ColorMode, CompletionType, ConditionalEventHandler, Config, Context, Editor, Event, EventContext,
    EventHandler, Helper, KeyCode, KeyEvent, Modifiers, Movement, RepeatCount,
};
use tokio::sync::watch;
use unicode_width::UnicodeWidthChar as _;

use super::completion::{Offer, Words, complete};
use super::rows::{Continued, continues};
use super::screen::Screen;

/// Most lines that the arrow keys bring back. They are kept in memory only: private lines are in no file but the
/// daemon's.
const HISTORY: usize = 500;

/// What the editor asks while somebody types.
#[derive(Debug)]
pub struct Assistant {
    screen: Screen,
    words: Arc<Mutex<Words>>,
    /// The line, as a message. Told because the editor gives no line back where it was interrupted.
    typed: watch::Sender<String>,
    color: bool,
    continued: Arc<Mutex<Continued>>,
}

impl Assistant {
    /// Whether the line was empty when it was last edited.
    pub fn line_is_empty(&self) -> bool {
        self.typed.borrow().is_empty()
    }

    /// The line as it was last edited.
    pub fn line(&self) -> String {
        self.typed.borrow().clone()
    }

    /// A new line begins.
    pub fn begin(&self, initial: &str) {
        self.typed.send_replace(initial.to_owned());
        self.continued.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The message that a line holds: its rows without the backslashes that were typed to continue them.
    pub fn message(&self, line: &str) -> String {
        self.continued.lock().unwrap_or_else(PoisonError::into_inner).join(line)
    }
}

/// The editor with our keys.
pub fn editor(
    screen: Screen,
    words: Arc<Mutex<Words>>,
    color: bool,
    typed: watch::Sender<String>,
) -> rustyline::Result<Editor<Assistant, MemHistory>> {
    let config = Config::builder()
        .bracketed_paste(true)
        .completion_type(CompletionType::List)
        // The prompt is drawn by the assistant, which is asked only where colours are on; it leaves them out itself.
        .color_mode(ColorMode::Forced)
        .build();
    let history = MemHistory::with_config(&config);
    let mut editor = Editor::with_history(config, history)?;
    editor.set_max_history_size(HISTORY)?;
    let continued = Arc::<Mutex<Continued>>::default();
    let shared = continued.clone();
    for number in 0..=9 {
        let (screen, continued) = (screen.clone(), continued.clone());
        let digit = KeyEvent(KeyCode::Char(char::from(b'0' + number)), Modifiers::NONE);
        editor.bind_sequence(
            Event::KeySeq(vec![KeyEvent::ctrl('X'), digit]),
            EventHandler::Conditional(Box::new(Switch { number: u32::from(number), screen, continued })),
        );
    }
    editor.set_helper(Some(Assistant { screen, words, typed, color, continued: shared }));
    for key in [KeyEvent(KeyCode::Enter, Modifiers::ALT), KeyEvent::new('\r', Modifiers::ALT)] {
        editor.bind_sequence(key, EventHandler::Simple(Cmd::Newline));
    }
    editor.bind_sequence(
        KeyEvent(KeyCode::Enter, Modifiers::NONE),
        EventHandler::Conditional(Box::new(Continue(continued))),
    );
    Ok(editor)
}

/// Enter behind a backslash begins another row. Decided at the key, not when the line is read, so that a backslash
/// at the end of a pasted row stays what it is.
#[derive(Debug)]
struct Continue(Arc<Mutex<Continued>>);

impl ConditionalEventHandler for Continue {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        let line = context.line();
        if context.pos() != line.len() || !continues(line) {
            return None;
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).mark(line);
        Some(Cmd::Newline)
    }
}

/// Ctrl-X and a digit: to that session, and the line stays behind.
#[derive(Debug)]
struct Switch {
    number: u32,
    screen: Screen,
    continued: Arc<Mutex<Continued>>,
}

impl ConditionalEventHandler for Switch {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        let line = self.continued.lock().unwrap_or_else(PoisonError::into_inner).join(context.line());
        self.screen.switch_to(SessionNo(self.number), line);
        // It shall not stand there as if it had been sent.
        Some(Cmd::Kill(Movement::WholeBuffer))
    }
}

impl Helper for Assistant {}

impl Validator for Assistant {}

impl Hinter for Assistant {
    type Hint = String;

    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        let message = self.message(line);
        self.typed.send_if_modified(|typed| {
            let other = *typed != message;
            if other {
                *typed = message;
            }
            other
        });
        None
    }
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, default: bool) -> Cow<'b, str> {
        // Another prompt than ours (a search in the history) is drawn as it is, behind the lines that waited.
        let (lines, shown) = self.screen.draw(prompt);
        let shown = if default { &shown } else { prompt };
        Cow::Owned(if self.color {
            format!("{lines}\x1b[1m{shown}\x1b[0m")
        } else {
            format!("{lines}{shown}")
        })
    }

    /// A pasted text may hold what steers a terminal. It is sent as it is and shown without.
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        let safe = line.split('\n').all(|row| matches!(display::line(row), Cow::Borrowed(_)));
        if safe {
            return Cow::Borrowed(line);
        }
        // The editor counts no column for these characters, so none must be drawn.
        let kept = |c: &char| matches!(c, '\n' | '\t') || c.width().is_some_and(|width| width > 0);
        Cow::Owned(line.chars().filter(kept).collect())
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, found) = complete(line, pos, &words);
        let pair =
            |Offer { word, note }| Pair { display: format!("{}{note}", word.trim_end()), replacement: word };
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_text_cannot_steer_the_screen() {
        let assistant = Assistant {
            screen: Screen::default(),
            words: Arc::default(),
            typed: watch::Sender::default(),
            color: false,
            continued: Arc::default(),
        };
        assert_eq!(assistant.highlight("a\u{1b}[2J\u{202e}b\tc\nd\u{9b}e", 0), "a[2Jb\tc\nde");
    }
}
