//! Commands of `chatctl`, and the rows that they print.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use portable_pty::CommandBuilder;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::DEADLINE;
use crate::binaries::program;
use crate::process::isolate;
use crate::world::House;

/// Runs commands for one daemon.
#[derive(Debug, Clone)]
pub struct Ctl {
    options: Vec<String>,
}

/// How a command has ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ctl {
    /// For the daemon of that name in that house.
    pub fn new(house: &House, name: &str) -> Self {
        let (data, runtime) = (house.data.display().to_string(), house.runtime.display().to_string());
        let options = ["--name", name, "--data-dir", &data, "--runtime-dir", &runtime];
        Self { options: options.map(str::to_owned).to_vec() }
    }

    /// For whichever daemon runs in that house.
    pub fn nameless(house: &House) -> Self {
        let mut ctl = Self::new(house, "");
        ctl.options.drain(..2);
        ctl
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program("chatctl"));
        isolate(&mut command).args(&self.options).args(args);
        command
    }

    /// The command for a pseudo-terminal.
    pub fn pty(&self, args: &[&str]) -> CommandBuilder {
        let mut command = CommandBuilder::new(program("chatctl"));
        command.args(&self.options);
        command.args(args);
        command
    }

    /// Runs a command to its end, with `input` on standard input.
    pub fn run(&self, args: &[&str], input: &[u8]) -> Ran {
        run(self.command(args), input)
    }

    /// Runs a command that has to succeed; gives its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args, b"");
        assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
        ran.out
    }

    /// Runs a command that has to fail with that code; gives what it says.
    pub fn fails(&self, args: &[&str], code: i32) -> String {
        let ran = self.run(args, b"");
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        ran.err
    }

    /// The rows of a command with `--json`.
    pub fn rows(&self, args: &[&str]) -> Vec<Value> {
        let out = self.ok(&[&["--json"], args].concat());
        out.lines().map(|line| serde_json::from_str(line).expect("a JSON row")).collect()
    }

    /// The texts of a session, oldest first.
    pub fn texts(&self, session: &str) -> Vec<String> {
        self.messages(session, |_| true)
    }

    /// The texts of a session that others wrote, oldest first.
    pub fn received(&self, session: &str) -> Vec<String> {
        self.messages(session, |row| row["mine"] == false)
    }

    fn messages(&self, session: &str, wanted: impl Fn(&Value) -> bool) -> Vec<String> {
        let rows = self.rows(&["history", session, "--after", "0"]);
        let rows = rows.iter().filter(|row| wanted(row));
        rows.map(|row| row["text"].as_str().expect("a text").to_owned()).collect()
    }

    /// Starts a command that prints lines until it is dropped.
    pub fn follow(&self, args: &[&str]) -> Following {
        let mut command = self.command(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("chatctl starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = stdout.lines().map_while(Result::ok);
            lines.try_for_each(|line| tell.send(line)).ok();
        });
        Following { child, lines }
    }
}

/// Runs a command to its end, with `input` on standard input.
pub fn run(mut command: Command, input: &[u8]) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command starts");
    let pid = Pid::from_child(&child);
    let (mut stdin, input) = (child.stdin.take().expect("piped"), input.to_owned());
    // A command that does not want all of its input closes it.
    let writing = thread::spawn(move || drop(stdin.write_all(&input)));
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(child.wait_with_output()));
    let Ok(output) = told.recv_timeout(DEADLINE) else {
        // The thread has not reaped it: the number is still its own.
        let _ = kill_process(pid, Signal::KILL);
        panic!("{command:?} has not ended within {DEADLINE:?}");
    };
    drop(writing.join());
    let output = output.expect("its output can be read");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A command that goes on; killed and reaped when dropped.
#[derive(Debug)]
pub struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    /// Its next line.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("another line")
    }

    /// The text of the message that is its next line.
    pub fn text(&self) -> String {
        let line = self.line();
        let row: Value = serde_json::from_str(&line).expect("a JSON row");
        row["text"].as_str().expect("a text").to_owned()
    }

    /// Whether it prints nothing but what was taken already. It must have ended, or been told to.
    pub fn rest(&self) -> Vec<String> {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => return rest,
                Err(RecvTimeoutError::Timeout) => panic!("it goes on"),
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
