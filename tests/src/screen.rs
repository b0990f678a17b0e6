//! A program on a pseudo-terminal.

use std::fmt::Debug;
use std::io::{Read as _, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::process::{Pid, Signal, kill_process};

use crate::DEADLINE;
use crate::capture::{COLS, Capture, ROWS};

/// Characters at the end of a typed line that have to stand before the cursor before Enter is pressed.
const ECHO: usize = 16;

/// See the module. Killed and reaped when dropped.
pub struct Screen {
    child: Box<dyn Child + Send + Sync>,
    keys: Mutex<Box<dyn Write + Send>>,
    shared: Arc<(Mutex<Capture>, Condvar)>,
    /// Open as long as the terminal is.
    _master: Box<dyn MasterPty + Send>,
}

impl Screen {
    /// Runs a command on a new terminal.
    pub fn open(command: &CommandBuilder) -> Self {
        let size = PtySize { rows: ROWS, cols: COLS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = command.clone();
        command.env("TERM", "xterm-256color");
        command.env("TZ", "UTC");
        for name in ["CHAT_NAME", "NO_COLOR", "RUST_LOG"] {
            command.env_remove(name);
        }
        let child = pair.slave.spawn_command(command).expect("chatctl starts");
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let keys = pair.master.take_writer().expect("a writer");
        let shared = Arc::new((Mutex::new(Capture::new()), Condvar::new()));
        let taking = Arc::clone(&shared);
        thread::spawn(move || {
            let mut bytes = [0; 8192];
            loop {
                let count = reader.read(&mut bytes).unwrap_or(0);
                let mut capture = taking.0.lock().unwrap_or_else(PoisonError::into_inner);
                match count {
                    0 => capture.end(),
                    count => capture.take(&bytes[..count]),
                }
                taking.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Self { child, keys: Mutex::new(keys), shared, _master: pair.master }
    }

    /// What was printed so far.
    pub fn capture(&self) -> MutexGuard<'_, Capture> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the screen is as wanted.
    pub fn wait_until(&self, what: impl Debug, mut wanted: impl FnMut(&mut Capture) -> bool) {
        let begun = Instant::now();
        let mut capture = self.capture();
        while !wanted(&mut capture) {
            let left = DEADLINE.saturating_sub(begun.elapsed());
            if left.is_zero() || capture.has_ended() {
                let rows = capture.rows().join("\n");
                drop(capture);
                panic!("{what:?} is not there after {:?}; the screen has:\n{rows}\n", begun.elapsed());
            }
            let woken = self.shared.1.wait_timeout(capture, left);
            capture = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until a text was printed, now or before.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(text, |capture| capture.count(text) > 0);
    }

    /// Waits until a text was printed so many times.
    pub fn wait_for_times(&self, text: &str, times: usize) {
        self.wait_until((text, times), |capture| capture.count(text) >= times);
    }

    /// Waits until a whole row is that text.
    pub fn wait_for_row(&self, row: &str) {
        self.wait_until(row, |capture| capture.rows().iter().any(|found| found == row));
    }

    /// Waits until a prompt that begins so waits for a line.
    pub fn wait_for_prompt(&self, prompt: &str) {
        self.wait_until(("prompt", prompt), |capture| capture.is_at_prompt(prompt));
    }

    /// How often a text was ever printed.
    pub fn count(&self, text: &str) -> usize {
        self.capture().count(text)
    }

    /// All rows, those that have left the screen first.
    pub fn rows(&self) -> Vec<String> {
        self.capture().rows()
    }

    /// Presses keys, given as the bytes that they send.
    pub fn key(&self, bytes: &str) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.write_all(bytes.as_bytes()).and_then(|()| keys.flush()).expect("the terminal takes keys");
    }

    /// Types a text at an empty prompt, and waits until it stands there.
    pub fn type_text(&self, text: &str) {
        self.wait_for_prompt("[");
        self.key(text);
        let skip = text.chars().count().saturating_sub(ECHO);
        let tail: String = text.chars().skip(skip).collect();
        self.wait_until(("typed", text), |capture| {
            capture.cursor_row().trim_end().ends_with(tail.trim_end())
        });
    }

    /// Types a line and ends it with Enter.
    pub fn type_line(&self, line: &str) {
        self.type_text(line);
        self.enter();
    }

    /// Presses Enter; returns when the editor has taken it.
    pub fn enter(&self) {
        let before = self.capture().raw().len();
        self.key("\r");
        self.wait_until("Enter", |capture| capture.raw().len() > before);
    }

    /// Pastes a text as terminals do that were told to bracket it.
    pub fn paste(&self, text: &str) {
        self.wait_until("bracketed paste", |capture| capture.brackets_pastes());
        self.key(&format!("\x1b[200~{text}\x1b[201~"));
    }

    /// Types a command and waits for what it prints.
    pub fn command(&self, line: &str, answer: &str) {
        let before = self.count(answer);
        self.type_line(line);
        self.wait_for_times(answer, before + 1);
    }

    /// Presses Enter on the empty line until the prompt, which a redraw cannot make wider, begins so.
    pub fn next_prompt(&self, prompt: &str) {
        let begun = Instant::now();
        loop {
            self.wait_for_prompt("[");
            if self.capture().is_at_prompt(prompt) {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "no prompt {prompt:?}:\n{}\n", self.rows().join("\n"));
            self.enter();
        }
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("reaped");
    }

    /// SIGHUP: its window was closed.
    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        let pid =
            self.child.process_id().and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("a process");
        kill_process(pid, signal).expect("a child that was not reaped takes signals");
    }

    /// Waits until the program has ended by itself; gives its exit code.
    pub fn ended(&mut self) -> u32 {
        let begun = Instant::now();
        let mut capture = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !capture.has_ended() {
            let left = DEADLINE.saturating_sub(begun.elapsed());
            assert!(!left.is_zero(), "it has not ended; the screen has:\n{}\n", capture.rows().join("\n"));
            let woken = self.shared.1.wait_timeout(capture, left);
            capture = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(capture);
        self.child.wait().expect("reaped").exit_code()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::KILL);
            drop(self.child.wait());
        }
    }
}
