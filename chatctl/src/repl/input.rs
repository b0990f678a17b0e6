//! Reads lines in a thread of its own: from the line editor on a terminal, else row by row from standard input.

use std::io::{self, BufRead, Read as _};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::thread;

use proto::ids::SessionNo;
use proto::limits::MAX_TEXT_LEN;
use rustyline::Editor;
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use tokio::sync::{mpsc, watch};

use super::completion::Words;
use super::editor::{Assistant, editor};
use super::rows::continues;
use super::screen::Screen;

/// A line is wanted.
#[derive(Debug)]
pub struct Ask {
    /// What stands before it.
    pub prompt: String,
    /// What it begins with: a text that could not be sent.
    pub draft: String,
}

/// What a person or a script typed.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// A line, without its end; it may hold rows.
    Line {
        /// As it was typed.
        text: String,
        /// The session that the prompt showed; `None` where no prompt is shown.
        session: Option<SessionNo>,
    },
    /// A row of standard input cannot be a message; it was skipped.
    Bad(String),
    /// Ctrl-C on an empty line.
    Interrupted,
    /// Ctrl-C on a line, which is gone.
    Cleared,
    /// The line was taken away as it was.
    Taken(String),
    /// A key that switches to another session.
    Switch {
        /// Which.
        number: SessionNo,
        /// What stood in the line.
        line: String,
        /// What was typed behind the key.
        rest: String,
    },
    /// No more input.
    End,
}

/// The reading thread. A question and its answer take turns, so one place in each queue is enough.
#[derive(Debug)]
pub struct Reader {
    asks: std_mpsc::SyncSender<Ask>,
    answers: mpsc::Receiver<Input>,
    /// The line that is being typed, as a message.
    line: watch::Receiver<String>,
}

impl Reader {
    /// Starts the thread that edits lines on the terminal.
    pub fn on_terminal(screen: &Screen, words: Arc<Mutex<Words>>, color: bool) -> anyhow::Result<Self> {
        let (typed, line) = watch::channel(String::new());
        let mut editor = editor(screen.clone(), words, color, typed)?;
        let printer = editor.create_external_printer()?;
        let (waker, typist) = (screen.clone(), screen.clone());
        thread::Builder::new().name("redraw".into()).spawn(move || waker.wake_through(printer))?;
        Self::start(line, move |ask| edit(&mut editor, &typist, ask))
    }

    /// Starts the thread that reads rows of standard input.
    pub fn on_rows() -> anyhow::Result<Self> {
        let (_, line) = watch::channel(String::new());
        Self::start(line, |_| Some(message(&mut io::stdin().lock())))
    }

    fn start(
        line: watch::Receiver<String>,
        mut read: impl FnMut(&Ask) -> Option<Input> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (asks, asked) = std_mpsc::sync_channel::<Ask>(1);
        let (answer, answers) = mpsc::channel(1);
        thread::Builder::new().name("input".into()).spawn(move || {
            while let Ok(ask) = asked.recv() {
                let Some(input) = read(&ask) else { return };
                if answer.blocking_send(input).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { asks, answers, line })
    }

    /// What is being typed.
    pub fn line(&self) -> String {
        self.line.borrow().clone()
    }

    /// The answer; `None`: something was typed since the last time. Safe to drop and call again.
    pub async fn answer_or_key(&mut self) -> Option<Input> {
        let key = async {
            if self.line.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            answer = self.answers.recv() => Some(answer.unwrap_or(Input::End)),
            () = key => None,
        }
    }

    /// Asks for a line. Must not be called again before the answer.
    pub fn ask(&self, ask: Ask) {
        // Full cannot be, by the turns; a thread that has ended answers with the end of its queue.
        drop(self.asks.try_send(ask));
    }

    /// The answer. Safe to drop and call again.
    pub async fn answer(&mut self) -> Input {
        self.answers.recv().await.unwrap_or(Input::End)
    }

    /// Waits until the thread has ended: it has given the terminal back then.
    pub async fn ended(&mut self) {
        while self.answers.recv().await.is_some() {}
    }
}

/// `None`: no more lines are wanted.
fn edit(editor: &mut Editor<Assistant, MemHistory>, screen: &Screen, ask: &Ask) -> Option<Input> {
    if let Some(assistant) = editor.helper() {
        assistant.begin(&ask.draft);
    }
    if !screen.begin_line() {
        return None;
    }
    let read = editor.readline_with_initial(&ask.prompt, (&ask.draft, ""));
    let session = screen.end_line();
    if screen.is_stopped() {
        return None;
    }
    Some(match read {
        Ok(line) => {
            let text = editor.helper().map_or(line.clone(), |assistant| assistant.message(&line));
            // Only in memory; and a line that cannot be remembered is no reason not to send it.
            drop(editor.add_history_entry(text.as_str()));
            Input::Line { text, session: Some(session) }
        }
        Err(_) if screen.is_taken() => {
            let rest = editor.helper().map_or_else(String::new, Assistant::line);
            match screen.switches() {
                Some((number, line)) => Input::Switch { number, line, rest },
                None => Input::Taken(rest),
            }
        }
        Err(ReadlineError::Interrupted) => {
            if editor.helper().is_none_or(Assistant::line_is_empty) {
                Input::Interrupted
            } else {
                Input::Cleared
            }
        }
        Err(_) => Input::End,
    })
}

/// One message: a row, and those that follow a backslash.
fn message(input: &mut impl BufRead) -> Input {
    let mut text = String::new();
    loop {
        match row(input) {
            Row::Text(row) => text.push_str(&row),
            Row::Bad(why) => return Input::Bad(why),
            Row::End if text.is_empty() => return Input::End,
            Row::End => break,
        }
        if !continues(&text) || text.len() > MAX_TEXT_LEN {
            break;
        }
        text.pop();
        text.push('\n');
    }
    Input::Line { text, session: None }
}

enum Row {
    Text(String),
    Bad(String),
    End,
}

/// A row without its end. Of one that is too long no more than its end is looked for.
fn row(input: &mut impl BufRead) -> Row {
    let mut bytes = Vec::new();
    let bound = MAX_TEXT_LEN as u64 + 2;
    match input.by_ref().take(bound).read_until(b'\n', &mut bytes) {
        Ok(0) | Err(_) => return Row::End,
        Ok(_) => {}
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    } else if bytes.len() as u64 == bound {
        // An error shows itself again at the next row.
        drop(input.skip_until(b'\n'));
        return Row::Bad(format!("A row of the input is over {MAX_TEXT_LEN} bytes and was not sent"));
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes)
        .map_or_else(|_| Row::Bad("A row of the input is not UTF-8 and was not sent".into()), Row::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Input {
        Input::Line { text: text.into(), session: None }
    }

    #[test]
    fn rows_are_messages_and_a_backslash_joins_them() {
        let mut input = &b"one\r\ntwo \\\nmore\n\nlast"[..];
        for text in ["one", "two \nmore", "", "last"] {
            assert_eq!(message(&mut input), line(text));
        }
        assert_eq!(message(&mut input), Input::End);
    }

    #[test]
    fn a_row_that_cannot_be_a_message_is_skipped_whole() {
        let mut bytes = vec![b'x'; 3 * MAX_TEXT_LEN];
        bytes.extend_from_slice(b"\n\xff\nnext\n");
        let mut input = &bytes[..];
        assert!(matches!(message(&mut input), Input::Bad(why) if why.contains("over 65536")));
        assert!(matches!(message(&mut input), Input::Bad(why) if why.contains("UTF-8")));
        assert_eq!(message(&mut input), line("next"));
    }
}
