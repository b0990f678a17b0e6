//! Brings the parts of the prompt together: the link, the lines that are typed, the screen.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use proto::ipc::SessionRef;
use tokio::time::{Instant, sleep_until, timeout};

use super::app::{App, Manner};
use super::completion::Words;
use super::input::{Ask, Input, Reader};
use super::link;
use super::screen::Screen;
use crate::client::{Client, Event, LinkError};
use crate::failure::Failure;
use crate::output;
use crate::render::Style;

/// How long a script waits for a daemon that went away.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(10);

/// How long the reading thread may take to give the terminal back.
const INPUT_END: Duration = Duration::from_secs(1);

/// Pause in typing after which what is begun is kept.
const TYPING_PAUSE: Duration = Duration::from_millis(300);

/// Longest time that something typed without a pause is not kept.
const TYPING_LONGEST: Duration = Duration::from_secs(2);

/// How long the daemon may take to keep a line when the terminal ends.
const KEEP_PATIENCE: Duration = Duration::from_secs(1);

/// How a prompt is to be.
#[derive(Debug)]
pub struct Setup {
    /// Where the daemon listens.
    pub socket: PathBuf,
    /// The session to begin with; `None`: the lobby.
    pub session: Option<SessionRef>,
    /// How lines look.
    pub style: Style,
    /// Standard input and output are a terminal on which lines are edited.
    pub editing: bool,
    /// Whether a person looks on.
    pub manner: Manner,
}

/// Runs the prompt until the person leaves the screen.
pub async fn run(client: Client, setup: Setup) -> Result<(), Failure> {
    let screen = Screen::default();
    let words = Arc::new(Mutex::new(Words::default()));
    let reader = if setup.editing {
        Reader::on_terminal(&screen, words.clone(), setup.style.color)
    } else {
        Reader::on_rows()
    };
    let reader = reader.context("unable to read from the terminal")?;
    let mut app = App::new(setup.style, setup.session.clone(), setup.manner, words);
    if setup.editing {
        app.keep_drafts();
    }
    let mut driver = Driver { app, screen, reader, setup, asked: false, keep: Keep::default() };
    let outcome = driver.run(client).await;
    driver.screen.stop();
    if driver.setup.editing && driver.asked && timeout(INPUT_END, driver.reader.ended()).await.is_err() {
        return Err(Failure::Failed("the terminal was not given back; type: reset".into()));
    }
    outcome
}

struct Driver {
    app: App,
    screen: Screen,
    reader: Reader,
    setup: Setup,
    /// A line was asked for and is not there yet.
    asked: bool,
    keep: Keep,
}

/// When what is being typed is kept.
#[derive(Debug, Default)]
struct Keep {
    /// Something was typed first that is not kept yet.
    since: Option<Instant>,
    /// When it is to be kept.
    due: Option<Instant>,
}

impl Keep {
    fn typed(&mut self) {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        self.due = Some((now + TYPING_PAUSE).min(since + TYPING_LONGEST));
    }

    async fn pause(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }
}

/// Something that happened.
enum Happened {
    Said(Result<Event, LinkError>),
    Typed(Input),
    /// A key was typed.
    Key,
    /// No key was typed for a while.
    Pause,
    /// The screen takes more lines again.
    Room,
    /// SIGINT while no line is edited.
    Interrupt,
    /// SIGTERM or SIGHUP.
    Terminate,
}

impl Driver {
    async fn run(&mut self, mut client: Client) -> Result<(), Failure> {
        let mut signals = Signals::new().context("unable to listen to signals")?;
        loop {
            self.app.link_up();
            self.keep.typed(); // what was typed meanwhile
            if let Some(outcome) = self.linked(&mut client, &mut signals).await {
                return outcome;
            }
            drop(client);
            match self.unlinked(&mut signals).await {
                Ok(again) => client = again,
                Err(outcome) => return outcome,
            }
        }
    }

    /// As long as there is a link; `None`: it is gone.
    async fn linked(&mut self, client: &mut Client, signals: &mut Signals) -> Option<Result<(), Failure>> {
        loop {
            for (call, purpose) in self.app.take_calls() {
                match client.ask(call) {
                    Ok(id) => self.app.asked(id, purpose),
                    Err(_) => return self.down(),
                }
            }
            if let Some(outcome) = self.show() {
                self.keep_the_rest(client).await;
                return Some(outcome);
            }
            let room = self.screen.has_room();
            let happened = tokio::select! {
                said = client.next(), if room => Happened::Said(said),
                () = self.screen.room(), if !room => Happened::Room,
                typed = self.reader.answer_or_key(), if self.asked => typed.map_or(Happened::Key, Happened::Typed),
                () = self.keep.pause() => Happened::Pause,
                happened = signals.next() => happened,
            };
            match happened {
                Happened::Said(Ok(event)) => match event {
                    Event::Reply(id, reply) => self.app.answered(id, reply),
                    Event::Changed(changes) => self.app.changed(*changes),
                    Event::Goodbye { quit: true } => self.app.goodbye(),
                    Event::Goodbye { quit: false } => return self.down(),
                },
                Happened::Said(Err(LinkError::Gone)) => return self.down(),
                Happened::Said(Err(error)) => return Some(Err(error.into())),
                other => self.local(other),
            }
        }
    }

    /// The terminal ends: what is begun is kept, if the daemon takes it in time.
    async fn keep_the_rest(&mut self, client: &mut Client) {
        let answers = async {
            while self.app.is_keeping() {
                match client.next().await {
                    Ok(Event::Reply(id, reply)) => self.app.answered(id, reply),
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        };
        timeout(KEEP_PATIENCE, answers).await.ok();
    }

    /// What is being typed goes to the daemon, if it is another line than the daemon has.
    fn keep_line(&mut self) {
        self.keep = Keep::default();
        if self.asked && self.setup.editing {
            self.app.begun(&self.reader.line());
        }
    }

    fn down(&mut self) -> Option<Result<(), Failure>> {
        self.app.link_down();
        self.show()
    }

    /// Until there is a link again. `Err`: the prompt has ended.
    async fn unlinked(&mut self, signals: &mut Signals) -> Result<Client, Result<(), Failure>> {
        let (socket, manner) = (self.setup.socket.clone(), self.setup.manner);
        let mut again = std::pin::pin!(link::again(&socket));
        let patience = async {
            match manner {
                Manner::Person => std::future::pending().await,
                Manner::Script => tokio::time::sleep(SCRIPT_PATIENCE).await,
            }
        };
        let mut patience = std::pin::pin!(patience);
        loop {
            if let Some(outcome) = self.show() {
                return Err(outcome);
            }
            let happened = tokio::select! {
                client = &mut again => return Ok(client),
                () = &mut patience => {
                    return Err(Err(Failure::NoDaemon("the daemon went away and did not come back".into())));
                }
                typed = self.reader.answer(), if self.asked => Happened::Typed(typed),
                happened = signals.next() => happened,
            };
            self.local(happened);
        }
    }

    fn local(&mut self, happened: Happened) {
        match happened {
            Happened::Typed(input) => {
                if input == Input::End {
                    self.keep_line();
                }
                self.asked = false;
                self.keep = Keep::default();
                match input {
                    Input::Line { text, session } => self.app.line(text, session),
                    Input::Bad(why) => self.app.bad_line(&why),
                    Input::Interrupted => self.app.interrupted(),
                    Input::Cleared => self.app.cleared(),
                    Input::Taken(line) => self.app.taken(&line),
                    Input::Switch { number, line, rest } => self.app.switched(number, &line, rest),
                    Input::End => self.app.end_of_input(),
                }
            }
            Happened::Interrupt if self.setup.manner == Manner::Person && self.setup.editing => {
                self.app.give_up();
            }
            Happened::Interrupt | Happened::Terminate => {
                self.keep_line();
                self.app.end_of_input();
            }
            Happened::Key => self.keep.typed(),
            Happened::Pause => self.keep_line(),
            Happened::Room | Happened::Said(_) => {}
        }
    }

    /// Prints what there is, then asks for a line where one may be read. `Some`: the prompt has ended.
    fn show(&mut self) -> Option<Result<(), Failure>> {
        if self.app.follow.style.width.is_some() {
            self.app.follow.style.width = output::columns().or(self.app.follow.style.width);
        }
        if self.asked && self.setup.editing && self.app.takes_line(&self.reader.line()) {
            self.screen.take_line();
        }
        let prompt = self.app.prompt();
        self.screen.set_prompt(prompt.clone());
        self.screen.print(&self.app.take_output());
        if self.screen.is_closed() {
            return Some(Err(Failure::ClosedPipe));
        }
        if let Some(outcome) = self.app.take_exit() {
            return Some(outcome);
        }
        if !self.asked && self.app.wants_line() {
            self.asked = true;
            self.reader.ask(Ask { prompt: prompt.text, draft: self.app.take_draft() });
        }
        None
    }
}

/// What ends programs from outside. Installed before the line editor installs its own handlers, which then give
/// way to these: a signal between two lines never ends the program with the terminal left raw.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Happened {
        tokio::select! {
            _ = self.interrupt.recv() => Happened::Interrupt,
            _ = self.terminate.recv() => Happened::Terminate,
            _ = self.hangup.recv() => Happened::Terminate,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[allow(clippy::unnecessary_wraps, reason = "the same form on every platform")]
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Happened {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Happened::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}
