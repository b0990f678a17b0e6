//! The thread around the log's file: takes all posts that wait, gives the disk one flush for them, then shows and
//! answers them.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use proto::ids::WallMs;
use proto::lobby::FromLobby;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{self, OwnedPermit};
use tracing::{error, warn};

use super::{Decision, Denied, Group, LogFile, Post};
use crate::store::StoreError;

/// Posts that wait for the disk, of all members together. Full: whoever has the next one is not read until there is room.
pub(in crate::lobby) const QUEUE: usize = 128;

/// Most posts in one commit. With [`QUEUE`] it bounds what a disk that fails makes the lobby hold: 16 MiB of text.
const BATCH: usize = 128;

/// Wait before what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A post, and the place of its answer.
#[derive(Debug)]
pub(in crate::lobby) struct Waiting {
    pub(in crate::lobby) post: Post,
    /// Its room among the answers of the link is taken before: the thread never waits for a member.
    pub(in crate::lobby) answer: OwnedPermit<FromLobby>,
}

/// What the thread is to do.
#[derive(Debug)]
pub(in crate::lobby) enum Job {
    /// Put a post into the log.
    Post(Box<Waiting>),
    /// Delete what has become too old.
    Tidy,
}

/// The running thread. It ends when nobody can give it a job any more.
#[derive(Debug)]
pub(in crate::lobby) struct Writer {
    thread: JoinHandle<()>,
    /// Held: a failing disk is tried again and again.
    patience: SyncSender<()>,
}

impl Writer {
    /// Waits until all that was given to the thread is in the log. A disk that fails is tried once more.
    pub(in crate::lobby) fn finish(self) {
        let Self { thread, patience } = self;
        drop(patience);
        if thread.join().is_err() {
            error!("the thread that writes the log has failed");
        }
    }
}

/// Starts the thread. `show` is handed each group once it is on the disk; then its posts are answered.
pub(in crate::lobby) fn start(
    file: LogFile,
    jobs: mpsc::Receiver<Job>,
    now: impl Fn() -> WallMs + Send + 'static,
    show: impl Fn(&Group) + Send + 'static,
) -> io::Result<Writer> {
    let (patience, impatient) = sync_channel(0);
    let scribe = Scribe { file, jobs, impatient, now, show };
    let thread = thread::Builder::new().name("lobby log".into()).spawn(move || scribe.run())?;
    Ok(Writer { thread, patience })
}

struct Scribe<N, S> {
    file: LogFile,
    jobs: mpsc::Receiver<Job>,
    impatient: Receiver<()>,
    now: N,
    show: S,
}

impl<N: Fn() -> WallMs, S: Fn(&Group)> Scribe<N, S> {
    fn run(mut self) {
        // What the limits of this run no longer keep goes first.
        let (mut jobs, mut more_to_go) = (Vec::with_capacity(BATCH), true);
        while self.take(&mut jobs, more_to_go) {
            let (mut posts, mut answers) = (Vec::new(), Vec::new());
            for job in jobs.drain(..) {
                if let Job::Post(waiting) = job {
                    posts.push(waiting.post);
                    answers.push(waiting.answer);
                }
            }
            let Some(group) = self.settle(&posts) else { return };
            more_to_go = group.more_to_go;
            (self.show)(&group);
            for ((post, answer), decision) in posts.iter().zip(answers).zip(&group.decisions) {
                answer.send(reply(post, *decision));
            }
        }
    }

    /// Waits for jobs, unless there is something to do without. `false`: none will come.
    fn take(&mut self, jobs: &mut Vec<Job>, at_once: bool) -> bool {
        if !at_once {
            return self.jobs.blocking_recv_many(jobs, BATCH) > 0;
        }
        while jobs.len() < BATCH {
            match self.jobs.try_recv() {
                Ok(job) => jobs.push(job),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return !jobs.is_empty(),
            }
        }
        true
    }

    /// Writes until it is written. `None`: it could not be, and there is no more time.
    fn settle(&mut self, posts: &[Post]) -> Option<Group> {
        let mut told = false;
        loop {
            match self.write(posts) {
                Ok(group) => {
                    if told {
                        warn!("the lobby's log is written again");
                    }
                    return Some(group);
                }
                Err(error) if !told => {
                    told = true;
                    error!(%error, posts = posts.len(), "the lobby's log could not be written, posts wait");
                }
                Err(_) => {}
            }
            if self.impatient.recv_timeout(RETRY) != Err(RecvTimeoutError::Timeout) {
                return None;
            }
        }
    }

    fn write(&mut self, posts: &[Post]) -> Result<Group, StoreError> {
        let group = self.file.write(posts, (self.now)())?;
        self.file.commit()?;
        Ok(group)
    }
}

fn reply(post: &Post, decision: Decision) -> FromLobby {
    let mid = post.entry.mid;
    let reason = match decision {
        Decision::Stands(seq) => return FromLobby::Published { mid, seq },
        Decision::Denied(Denied::Unsigned) => "it is not signed by your key",
        Decision::Denied(Denied::Muted) => "an operator of the lobby has muted you",
        Decision::Denied(Denied::TooLong) => "the message does not fit into a frame",
    };
    FromLobby::NotPublished { mid, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::lobby::log::Retention;
    use crate::lobby::log::tests::post;

    #[test]
    fn all_that_waits_goes_to_the_disk_together_and_is_answered_in_order_once_it_was_shown() {
        let retention = Retention { entries: 1_000, age: Duration::MAX, bytes: u64::MAX };
        let file = LogFile::in_memory(retention).expect("opens");
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let (answer, mut answers) = mpsc::channel(QUEUE);
        let (show, shown) = sync_channel(0);
        let writer = start(
            file,
            waiting,
            || WallMs(0),
            move |group| {
                show.send(group.decisions.len()).expect("the test looks");
            },
        );
        let writer = writer.expect("starts");
        let next = || shown.recv_timeout(Duration::from_secs(30));
        assert_eq!(next(), Ok(0), "first it tidies");
        let say = |mid: u32| {
            let answer = answer.clone().try_reserve_owned().expect("room");
            let post = post(1, mid, "hello");
            jobs.try_send(Job::Post(Box::new(Waiting { post, answer }))).expect("room");
        };
        say(0);
        // It is on the disk, or will be before the thread looks for more.
        while jobs.capacity() < QUEUE {
            thread::yield_now();
        }
        (1..100).for_each(say);
        assert!(answers.try_recv().is_err(), "nothing is answered that was not shown");
        assert_eq!(next(), Ok(1));
        assert_eq!(next(), Ok(99), "one commit for all that waited");
        drop(jobs);
        writer.finish();
        for mid in 0..100 {
            let FromLobby::Published { mid: found, seq } = answers.try_recv().expect("an answer") else {
                panic!("not published");
            };
            assert_eq!((found, seq.0), (post(1, mid, "hello").entry.mid, u64::from(mid) + 1));
        }
    }
}
