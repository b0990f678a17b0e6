//! The link to the daemon: hello, numbered requests, and changes as they come.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Sink, Stream as _};
use interprocess::local_socket::tokio::{Stream as LocalStream, prelude::*};
use interprocess::local_socket::{GenericFilePath, Name as SocketName};
use proto::frame::{Codec, FrameError};
use proto::hello::Versions;
use proto::ids::Key;
use proto::ipc::{Call, Changes, Peer, Reply, ToClient, ToDaemon};
use tokio_util::codec::Framed;

use crate::failure::Failure;

/// How long a daemon may take to answer the hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// What comes from the daemon.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The answer to the request with that id.
    Reply(u64, Reply),
    /// Rows that changed.
    Changed(Box<Changes>),
    /// The daemon stops; `quit` tells whether the user asked for it.
    Goodbye {
        /// The user asked for it.
        quit: bool,
    },
}

/// Why there is no link, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody listens there.
    #[error("no daemon answers at {path}: {source}")]
    NoDaemon {
        /// The socket.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody listens and does not answer.
    #[error("the daemon does not answer within {} seconds", HELLO_TIMEOUT.as_secs())]
    Silent,
    /// The daemon does not want this client.
    #[error("the daemon refuses: {0}")]
    Refused(String),
    /// The daemon broke the rules of the link.
    #[error("the daemon sent something unexpected: {0}")]
    Protocol(String),
    /// The daemon went away.
    #[error("the daemon went away")]
    Gone,
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::NoDaemon { .. } => Self::NoDaemon(format!("{error}; start one with: chatctl attach")),
            LinkError::Silent | LinkError::Gone => {
                Self::NoDaemon(format!("{error}; see how it is with: chatctl status"))
            }
            LinkError::Refused(_) | LinkError::Protocol(_) => Self::Failed(error.to_string()),
        }
    }
}

impl From<FrameError> for LinkError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(_) | FrameError::Truncated => Self::Gone,
            error => Self::Protocol(error.to_string()),
        }
    }
}

/// An attached client.
#[derive(Debug)]
pub struct Client {
    link: Framed<LocalStream, Codec<ToClient>>,
    next_id: u64,
    /// Changes that came while an answer was awaited, merged: bounded by the number of sessions.
    held: Option<Box<Changes>>,
    /// The daemon said goodbye while an answer was awaited.
    goodbye: Option<bool>,
}

impl Client {
    /// Connects to the daemon at `path` and says hello.
    pub async fn connect(path: &Path) -> Result<Self, LinkError> {
        let no_daemon = |source| LinkError::NoDaemon { path: path.display().to_string(), source };
        let attach = async {
            let stream = LocalStream::connect(socket_name(path).map_err(no_daemon)?).await;
            let link = Framed::new(stream.map_err(no_daemon)?, Codec::new());
            let mut client = Self { link, next_id: 1, held: None, goodbye: None };
            client.hello().await?;
            Ok(client)
        };
        tokio::time::timeout(HELLO_TIMEOUT, attach).await.unwrap_or(Err(LinkError::Silent))
    }

    async fn hello(&mut self) -> Result<(), LinkError> {
        let client = concat!("chatctl ", env!("CARGO_PKG_VERSION")).to_owned();
        self.write(&ToDaemon::Hello { versions: Versions::OURS, features: Vec::new(), client })?;
        match poll_fn(|cx| self.poll_frame(cx)).await? {
            ToClient::Welcome { .. } => {
                self.link.codec_mut().accept();
                Ok(())
            }
            ToClient::Refused { reason } => Err(LinkError::Refused(reason)),
            _ => Err(LinkError::Protocol("no welcome".into())),
        }
    }

    /// Puts a request into the link's buffer; [`Client::next`] writes it out. Returns the id of the answer.
    ///
    /// The buffer has no bound of its own: a caller keeps its unanswered requests few.
    pub fn ask(&mut self, call: Call) -> Result<u64, LinkError> {
        let id = self.next_id;
        self.next_id += 1;
        self.write(&ToDaemon::Request { id, call })?;
        Ok(id)
    }

    /// The next thing that the daemon says. Writes what is asked meanwhile, so that the two sides cannot wait
    /// for each other. Safe to drop and call again.
    pub async fn next(&mut self) -> Result<Event, LinkError> {
        if let Some(changes) = self.held.take() {
            return Ok(Event::Changed(changes));
        }
        if let Some(quit) = self.goodbye.take() {
            return Ok(Event::Goodbye { quit });
        }
        match poll_fn(|cx| self.poll_frame(cx)).await? {
            ToClient::Reply { id, reply } => Ok(Event::Reply(id, reply)),
            ToClient::Changed(changes) => Ok(Event::Changed(changes)),
            ToClient::Goodbye { quit } => Ok(Event::Goodbye { quit }),
            ToClient::Welcome { .. } | ToClient::Refused { .. } => {
                Err(LinkError::Protocol("a second hello".into()))
            }
        }
    }

    /// Asks and waits for the answer; changes that come before it are kept for [`Client::next`].
    pub async fn call(&mut self, call: Call) -> Result<Reply, Failure> {
        let wanted = self.ask(call)?;
        loop {
            match poll_fn(|cx| self.poll_frame(cx)).await? {
                ToClient::Reply { id, reply: Reply::Error(error) } if id == wanted => {
                    return Err(error.into());
                }
                ToClient::Reply { id, reply } if id == wanted => return Ok(reply),
                ToClient::Changed(changes) => match &mut self.held {
                    Some(held) => merge(held, *changes),
                    None => self.held = Some(changes),
                },
                ToClient::Goodbye { quit } => self.goodbye = Some(quit),
                _ => {}
            }
        }
    }

    /// The user has signed the daemon off: that it is gone is no failure.
    pub fn is_signed_off(&self) -> bool {
        self.goodbye == Some(true)
    }

    /// Everybody of a list that comes in pages; `page` asks for those after a key.
    pub async fn people(&mut self, page: impl Fn(Option<Key>) -> Call) -> Result<Vec<Peer>, Failure> {
        let mut people = Vec::new();
        loop {
            let (peers, more) = match self.call(page(people.last().map(|last: &Peer| last.key))).await? {
                Reply::Peers { peers, more } => (peers, more),
                reply => return Err(unexpected(&reply)),
            };
            // A page without anybody is the last one, whatever it says.
            let more = more && !peers.is_empty();
            people.extend(peers);
            if !more {
                return Ok(people);
            }
        }
    }

    /// Asks for the state of everything.
    pub async fn state(&mut self) -> Result<Box<Changes>, Failure> {
        match self.call(Call::State).await? {
            Reply::State(changes) => Ok(changes),
            reply => Err(unexpected(&reply)),
        }
    }

    fn write(&mut self, message: &ToDaemon) -> Result<(), LinkError> {
        Ok(Pin::new(&mut self.link).start_send(message)?)
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<ToClient, LinkError>> {
        let mut link = Pin::new(&mut self.link);
        let flushed = Sink::<&ToDaemon>::poll_flush(link.as_mut(), cx);
        // What has arrived counts even if nothing can be written any more: it may be the goodbye.
        match link.poll_next(cx) {
            Poll::Ready(Some(Ok(message))) => Poll::Ready(Ok(message)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error.into())),
            Poll::Ready(None) => Poll::Ready(Err(LinkError::Gone)),
            Poll::Pending => match flushed {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
                _ => Poll::Pending,
            },
        }
    }
}

/// An answer that does not fit the question.
pub fn unexpected(reply: &Reply) -> Failure {
    let what = match reply {
        Reply::Error(error) => return error.clone().into(),
        Reply::Done => "done",
        Reply::Sent { .. } => "sent",
        Reply::Forked { .. } => "forked",
        Reply::State(_) => "state",
        Reply::Users { .. } => "users",
        Reply::Entries { .. } => "entries",
        Reply::Found { .. } => "found",
        Reply::Cursor { .. } => "cursor",
        Reply::Draft { .. } => "draft",
        Reply::Peers { .. } => "peers",
        Reply::Records { .. } => "records",
        Reply::Imported { .. } => "imported",
        Reply::Code { .. } => "code",
        Reply::Trusted { .. } => "trusted",
    };
    Failure::Failed(format!(
        "the daemon gave an answer that does not fit the question ({what}); is it older?"
    ))
}

/// Puts newer changes over older ones.
fn merge(held: &mut Changes, newer: Changes) {
    if newer.daemon.is_some() {
        held.daemon = newer.daemon;
    }
    held.sessions.retain(|row| !newer.closed.contains(&row.session));
    for row in newer.sessions {
        match held.sessions.iter_mut().find(|old| old.session == row.session) {
            Some(old) => *old = row,
            None => held.sessions.push(row),
        }
    }
    for number in newer.closed {
        if !held.closed.contains(&number) {
            held.closed.push(number);
        }
    }
}

fn socket_name(path: &Path) -> io::Result<SocketName<'_>> {
    path.to_fs_name::<GenericFilePath>()
}
