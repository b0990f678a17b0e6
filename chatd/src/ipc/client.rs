//! One client: its hello, its questions one after the other, and what it is told without asking.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{SinkExt, StreamExt};
use interprocess::local_socket::tokio::Stream;
use proto::frame::{Codec, FrameError};
use proto::hello::Versions;
use proto::ids::Seq;
use proto::ipc::{Call, CallError, Changes, ErrorCode, Hit, Range, Reply, SessionRef, ToClient, ToDaemon};
use proto::name::Name;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Duration, timeout};
use tokio_util::codec::{FramedRead, FramedWrite};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::Context;
use crate::daemon::{Event, Place, Stop};
use crate::identity::{code, fingerprint};
use crate::store::{Found, LogId, Progress, Query, Scope, StoreError};

/// Answers that wait to be written. A client that does not read has its next question wait.
const QUEUE: usize = 16;
/// Messages of one client that are on their way to the disk at the same time. Its next question waits.
const MAX_SENDS: usize = 256;
/// Time for the hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Most rows in one message of changes.
const ROWS: usize = 64;
/// Most words of one search.
const MAX_WORDS: usize = 16;

type Requests = FramedRead<ReadHalf<Stream>, Codec<ToDaemon>>;
type Answers = FramedWrite<WriteHalf<Stream>, Codec<()>>;

/// The daemon's core is gone; the client's task has nothing more to do.
struct CoreGone;

/// Serves one client until either side ends it.
pub(super) async fn run(stream: Stream, context: Context, shutdown: CancellationToken) {
    let (read, write) = tokio::io::split(stream);
    let mut requests = FramedRead::new(read, Codec::new());
    let mut answers = FramedWrite::new(write, Codec::new());
    match timeout(HELLO_TIMEOUT, greet(&mut requests, &mut answers)).await {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) | Err(_) => return,
        Ok(Err(error)) => return debug!(%error, "no hello"),
    }
    let (queue, waiting) = mpsc::channel(QUEUE);
    let watch = Arc::new(Notify::new());
    let (busy, mut is_busy) = watch::channel(false);
    let ended = tokio::select! {
        () = read_all(requests, &context, queue.clone(), Arc::clone(&watch), busy) => "the client left",
        () = tell_changes(&context, queue, &watch) => "the core is gone",
        outcome = write_all(answers, waiting, &context, &shutdown, &mut is_busy) => match outcome {
            Ok(()) => "the daemon stops",
            Err(_) => "the client takes nothing",
        },
    };
    debug!(ended, "detached");
}

/// `false`: the client was refused.
async fn greet(requests: &mut Requests, answers: &mut Answers) -> Result<bool, FrameError> {
    let Some(ToDaemon::Hello { versions, client, .. }) = requests.next().await.transpose()? else {
        let reason = "The first message must be a hello".to_owned();
        answers.send(&ToClient::Refused { reason }).await?;
        return Ok(false);
    };
    match Versions::OURS.agree(versions) {
        Ok(version) => {
            info!(client, "attached");
            requests.decoder_mut().accept();
            answers.send(&ToClient::Welcome { version, features: Vec::new() }).await?;
            Ok(true)
        }
        Err(error) => {
            let reason = format!("{error}. This is chatd {}, you are {client}", env!("CARGO_PKG_VERSION"));
            answers.send(&ToClient::Refused { reason }).await?;
            Ok(false)
        }
    }
}

/// Why no more questions are answered.
enum End {
    /// The client left, or broke the rules.
    Client,
    /// The core is gone: the goodbye is on its way.
    Core,
}

impl From<CoreGone> for End {
    fn from(_: CoreGone) -> Self {
        Self::Core
    }
}

/// Answers question by question. `busy` while one has no answer in the queue yet.
async fn read_all(
    mut requests: Requests,
    context: &Context,
    queue: mpsc::Sender<ToClient>,
    watch: Arc<Notify>,
    busy: watch::Sender<bool>,
) {
    let mut desk = Desk { context, queue, watch, busy, sends: FuturesOrdered::new() };
    let end = loop {
        if let Err(end) = desk.step(&mut requests).await {
            break end;
        }
    };
    desk.busy.send_replace(false);
    if matches!(end, End::Core) {
        std::future::pending::<()>().await;
    }
}

/// Where one client's questions are answered, one after the other. Only messages are put in while those before them are
/// on their way to the disk, so that one flush serves many.
struct Desk<'a> {
    context: &'a Context,
    queue: mpsc::Sender<ToClient>,
    watch: Arc<Notify>,
    busy: watch::Sender<bool>,
    /// Messages that are on their way to the disk, in order.
    sends: FuturesOrdered<BoxFuture<'static, Result<(u64, Reply), CoreGone>>>,
}

impl Desk<'_> {
    /// The next question, or the next message that is on the disk.
    async fn step(&mut self, requests: &mut Requests) -> Result<(), End> {
        tokio::select! {
            biased;
            Some(sent) = self.sends.next() => {
                let (id, reply) = sent?;
                self.tell(id, reply).await
            }
            request = requests.next(), if self.sends.len() < MAX_SENDS => match request {
                Some(Ok(ToDaemon::Request { id, call })) => self.take(id, call).await,
                Some(Ok(ToDaemon::Hello { .. })) => {
                    debug!("a second hello");
                    Err(End::Client)
                }
                Some(Err(error)) => {
                    debug!(%error, "a request could not be read");
                    Err(End::Client)
                }
                None => Err(End::Client),
            }
        }
    }

    async fn take(&mut self, id: u64, call: Call) -> Result<(), End> {
        self.busy.send_replace(true);
        if let Call::Send { .. } = call {
            let (reply, answer) = oneshot::channel();
            self.context.events.send(Event::Call(call, reply)).await.map_err(|_| End::Core)?;
            let sent = async move { answer.await.map(|reply| (id, reply)).map_err(|_| CoreGone) };
            self.sends.push_back(Box::pin(sent));
            return Ok(());
        }
        // Everything else sees what was said before it.
        while let Some(sent) = self.sends.next().await {
            let (id, reply) = sent?;
            self.tell(id, reply).await?;
        }
        let reply = match call {
            Call::Watch => {
                self.watch.notify_one();
                Reply::Done
            }
            call => answer(call, self.context).await?,
        };
        self.tell(id, reply).await
    }

    async fn tell(&mut self, id: u64, reply: Reply) -> Result<(), End> {
        self.queue.send(ToClient::Reply { id, reply }).await.map_err(|_| End::Client)?;
        self.busy.send_replace(!self.sends.is_empty());
        Ok(())
    }
}

async fn answer(call: Call, context: &Context) -> Result<Reply, CoreGone> {
    match call {
        Call::Read { session, range, limit } => read(session, range, limit, context).await,
        Call::Export { session, after } => export(session, after, context).await,
        Call::Search { words, limit } => search(&words.0, limit, context).await,
        Call::Verify { name } => verify(name, context).await,
        call => ask(context, |reply| Event::Call(call, reply)).await,
    }
}

async fn ask<T>(context: &Context, event: impl FnOnce(oneshot::Sender<T>) -> Event) -> Result<T, CoreGone> {
    let (reply, answer) = oneshot::channel();
    context.events.send(event(reply)).await.map_err(|_| CoreGone)?;
    answer.await.map_err(|_| CoreGone)
}

async fn read(session: SessionRef, range: Range, limit: u32, context: &Context) -> Result<Reply, CoreGone> {
    let place = match ask(context, |reply| Event::Place(session, reply)).await? {
        Ok(place) => place,
        Err(error) => return Ok(Reply::Error(error)),
    };
    let page = context.history.page(place.log, range, limit, context.me, place.progress).await;
    Ok(match page {
        Ok(entries) => {
            // The log may have grown since the core was asked.
            let head = entries.last().map_or(place.head, |last| last.seq.max(place.head));
            Reply::Entries { session: place.number.unwrap_or_default(), entries, head }
        }
        Err(error) => failed(&error),
    })
}

async fn export(session: SessionRef, after: Seq, context: &Context) -> Result<Reply, CoreGone> {
    let place = match ask(context, |reply| Event::Place(session, reply)).await? {
        Ok(place) => place,
        Err(error) => return Ok(Reply::Error(error)),
    };
    let records = context.history.records(place, after, context.me).await;
    Ok(records.map_or_else(|error| failed(&error), |records| Reply::Records { records }))
}

async fn verify(name: Name, context: &Context) -> Result<Reply, CoreGone> {
    let known = match ask(context, |reply| Event::Known(name, reply)).await? {
        Ok(known) => known,
        Err(error) => return Ok(Reply::Error(error)),
    };
    let (me, key) = (context.me, known.key);
    // Thousands of rounds: not where others wait.
    let code = spawn_blocking(move || code(&me, &key)).await.map_err(|_| CoreGone)?;
    Ok(Reply::Code { name: known.name, fingerprint: fingerprint(&key), trust: known.trust, code })
}

async fn search(words: &str, limit: u32, context: &Context) -> Result<Reply, CoreGone> {
    let query = Query::new(words);
    if query.is_empty() || query.len() > MAX_WORDS {
        let message = format!("A search takes 1 to {MAX_WORDS} words");
        return Ok(Reply::Error(CallError { code: ErrorCode::Invalid, message }));
    }
    let places = ask(context, Event::Places).await?;
    let places: HashMap<LogId, Place> = places.into_iter().map(|place| (place.log, place)).collect();
    let progress: HashMap<LogId, Progress> =
        places.values().map(|place| (place.log, place.progress)).collect();
    let held = places.values().filter(|place| place.held).map(|place| place.log);
    let held: HashSet<LogId> = held.collect();
    let scope = Scope {
        limit,
        me: context.me,
        progress: move |log| progress.get(&log).copied().unwrap_or_default(),
        skip: move |log| held.contains(&log),
    };
    Ok(match context.history.search(query, scope).await {
        Ok(Found { hits, partial }) => {
            let hit = |(log, entry)| {
                let place = places.get(&log);
                let session = place.and_then(|place| place.number);
                Hit {
                    session,
                    peer: place.and_then(|place| place.peer.as_ref()).map(|peer| peer.name.clone()),
                    entry,
                }
            };
            Reply::Found { hits: hits.into_iter().map(hit).collect(), partial }
        }
        Err(error) => failed(&error),
    })
}

fn failed(error: &StoreError) -> Reply {
    let message = format!("The daemon could not read its history: {error}");
    Reply::Error(CallError { code: ErrorCode::Internal, message })
}

/// After the client asked for it: rows that changed, newest state only. A client that does not read holds this up, and
/// nothing gathers for it meanwhile.
async fn tell_changes(context: &Context, queue: mpsc::Sender<ToClient>, watch: &Notify) {
    watch.notified().await;
    let mut seen = context.seen.clone();
    let _attached = Attached::new(context).await;
    let mut since = 0;
    loop {
        seen.borrow_and_update(); // registered before the state is read
        let Ok((version, changes)) = ask(context, |reply| Event::Changes(since, reply)).await else {
            return std::future::pending().await; // the goodbye is on its way
        };
        for part in parts(changes) {
            if queue.send(ToClient::Changed(Box::new(part))).await.is_err() {
                return;
            }
        }
        since = version;
        if seen.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Changes in parts that each fit into a frame, none where nothing changed. Numbers that are free again come last.
fn parts(changes: Changes) -> impl Iterator<Item = Changes> {
    let Changes { mut daemon, sessions, mut closed } = changes;
    let mut sessions = sessions.into_iter().peekable();
    std::iter::from_fn(move || {
        let rows: Vec<_> = sessions.by_ref().take(ROWS).collect();
        let closed = if sessions.peek().is_none() { std::mem::take(&mut closed) } else { Vec::new() };
        let part = Changes { daemon: daemon.take(), sessions: rows, closed };
        let nothing = part.daemon.is_none() && part.sessions.is_empty() && part.closed.is_empty();
        (!nothing).then_some(part)
    })
}

/// Writes what waits; says goodbye when the daemon stops, after the answer that is still on its way: it may be the
/// one to `quit`.
async fn write_all(
    mut answers: Answers,
    mut waiting: mpsc::Receiver<ToClient>,
    context: &Context,
    shutdown: &CancellationToken,
    is_busy: &mut watch::Receiver<bool>,
) -> Result<(), FrameError> {
    loop {
        tokio::select! {
            biased;
            message = waiting.recv() => match message {
                Some(message) => answers.feed(&message).await?,
                None => return Ok(()),
            },
            () = shutdown.cancelled() => break,
        }
        while let Ok(message) = waiting.try_recv() {
            answers.feed(&message).await?;
        }
        SinkExt::<&ToClient>::flush(&mut answers).await?;
    }
    loop {
        tokio::select! {
            biased;
            Some(message) = waiting.recv() => answers.feed(&message).await?,
            () = idle(is_busy) => break,
        }
    }
    while let Ok(message) = waiting.try_recv() {
        answers.feed(&message).await?;
    }
    let quit = context.seen.borrow().stop == Some(Stop::Quit);
    answers.send(&ToClient::Goodbye { quit }).await
}

/// Until no question waits for its answer, or nobody asks any more.
async fn idle(is_busy: &mut watch::Receiver<bool>) {
    is_busy.wait_for(|busy| !*busy).await.ok();
}

/// A watching client, counted as long as it lives.
struct Attached(mpsc::Sender<Event>);

impl Attached {
    async fn new(context: &Context) -> Self {
        context.events.send(Event::Attached).await.ok();
        Self(context.events.clone())
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // With a full queue the count stays one too high until the restart: a number for show, not worth waiting for.
        self.0.try_send(Event::Detached).ok();
    }
}
