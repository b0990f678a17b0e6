//! Typed messages on any stream: the reading half knows when the other side was last heard, the writing half gathers
//! and never waits for ever.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures_util::StreamExt;
use proto::frame::{Codec, Encoded};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::codec::{Encoder, FramedRead};

use super::{DEAD_AFTER, LinkError, PING_AFTER, WRITE_STALL};

/// Bytes that [`Outgoing::feed`] gathers before it writes by itself.
const GATHER: usize = 64 * 1024;

/// Buffer that an idle link keeps for what comes, in bytes.
const READ_BUFFER: usize = 1024;

/// Time for the goodbye of a link whose end does not matter any more.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Parts a stream into its two halves. Frames of at most [`proto::limits::MAX_HELLO_LEN`] are read until
/// [`Incoming::accept_hello`] is called.
pub fn split<In, S>(stream: S) -> (Incoming<In>, Outgoing)
where
    In: DeserializeOwned,
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (read, write) = tokio::io::split(stream);
    let heard = Heard { stream: Box::new(read), at: Instant::now() };
    let incoming = Incoming { frames: FramedRead::with_capacity(heard, Codec::new(), READ_BUFFER) };
    let outgoing = Outgoing { stream: Box::new(write), buffer: BytesMut::new() };
    (incoming, outgoing)
}

/// The reading half of a link.
pub struct Incoming<In> {
    frames: FramedRead<Heard, Codec<In>>,
}

impl<In: DeserializeOwned> Incoming<In> {
    /// The next message. Cancel safe: a message that was not returned is returned by the next call.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] at an orderly end, [`LinkError::Silent`] where nothing, not a byte, came for
    /// [`DEAD_AFTER`]; after any error the link is of no use.
    pub async fn next(&mut self) -> Result<In, LinkError> {
        loop {
            let deadline = self.heard() + DEAD_AFTER;
            match timeout_at(deadline, self.frames.next()).await {
                Ok(Some(message)) => {
                    self.shrink();
                    return message.map_err(LinkError::from);
                }
                Ok(None) => return Err(LinkError::Closed),
                // A long message on a slow line is not silence.
                Err(_) if self.heard() + DEAD_AFTER > deadline => {}
                Err(_) => return Err(LinkError::Silent),
            }
        }
    }

    /// As [`Incoming::next`]; `ask` is called once where nothing came for [`PING_AFTER`], to ask the other side whether it
    /// is there.
    pub async fn next_or_ask(&mut self, ask: impl FnOnce()) -> Result<In, LinkError> {
        if let Ok(message) = timeout_at(self.heard() + PING_AFTER, self.next()).await {
            return message;
        }
        ask();
        self.next().await
    }

    /// The other side's hello was good: longer frames are read from here on.
    pub fn accept_hello(&mut self) {
        self.frames.decoder_mut().accept();
    }

    /// Gives the room of a long message back: most links are idle most of the time.
    fn shrink(&mut self) {
        let buffer = self.frames.read_buffer_mut();
        // The capacity would not tell how much a buffer holds on to from which a message was just taken.
        if buffer.is_empty() {
            *buffer = BytesMut::with_capacity(READ_BUFFER);
        }
    }

    /// Reads on to the end of the stream and forgets all of it.
    ///
    /// A stream that is dropped with bytes unread is reset, and the reset takes with it what this side said last.
    /// The caller of this function sets the time for it.
    pub async fn drain(&mut self) {
        let mut waste = vec![0; READ_BUFFER];
        while matches!(self.frames.get_mut().read(&mut waste).await, Ok(1..)) {}
    }

    /// When the last byte came from the other side; when the link began, before the first.
    pub fn heard(&self) -> Instant {
        self.frames.get_ref().at
    }
}

/// The writing half of a link. Dropping both halves ends the stream.
pub struct Outgoing {
    stream: Box<dyn AsyncWrite + Send + Unpin>,
    /// Frames that are not written yet.
    buffer: BytesMut,
}

impl Outgoing {
    /// Sends one message now, and what was fed before.
    ///
    /// Cancel safe in this sense: a call that is dropped half way leaves the message behind, and the next one
    /// sends it first.
    ///
    /// # Errors
    ///
    /// [`LinkError::Frame`] where the message does not fit into a frame: nothing of it was written and the link goes
    /// on. [`LinkError::Stalled`] where the other side takes nothing.
    pub async fn send<M: Serialize>(&mut self, message: &M) -> Result<(), LinkError> {
        self.put(message)?;
        self.flush().await
    }

    /// Takes a message to be written with the next [`Outgoing::flush`]; writes by itself when much has gathered.
    pub async fn feed<M: Serialize>(&mut self, message: &M) -> Result<(), LinkError> {
        self.put(message)?;
        self.relieve().await
    }

    /// As [`Outgoing::feed`], for a message that is already in its frame.
    pub async fn feed_encoded(&mut self, message: &Encoded) -> Result<(), LinkError> {
        self.buffer.extend_from_slice(&message.0);
        self.relieve().await
    }

    /// Sends many messages that are already in their frames, gathered into as few writes as can be.
    pub async fn send_encoded(&mut self, messages: &[Encoded]) -> Result<(), LinkError> {
        for message in messages {
            self.feed_encoded(message).await?;
        }
        self.flush().await
    }

    /// Writes what is put into a queue, gathered, until nobody can put anything into it any more; then ends this
    /// direction in order.
    pub async fn carry<M: Serialize>(self, queue: mpsc::Receiver<M>) -> Result<(), LinkError> {
        self.carry_as(queue, |message| message).await
    }

    /// As [`Outgoing::carry`], where what waits becomes a message only when its turn has come.
    pub async fn carry_as<T, M: Serialize>(
        mut self,
        mut queue: mpsc::Receiver<T>,
        message: impl Fn(T) -> M,
    ) -> Result<(), LinkError> {
        while let Some(waiting) = queue.recv().await {
            self.feed(&message(waiting)).await?;
            while let Ok(waiting) = queue.try_recv() {
                self.feed(&message(waiting)).await?;
            }
            self.flush().await?;
        }
        self.close().await
    }

    /// Writes all that was fed.
    pub async fn flush(&mut self) -> Result<(), LinkError> {
        self.write_gathered().await?;
        in_time(self.stream.flush()).await
    }

    /// Ends this direction in order, after all that was fed. Does not wait long for an unwilling other side.
    pub async fn close(&mut self) -> Result<(), LinkError> {
        let goodbye = async {
            self.write_gathered().await?;
            in_time(self.stream.shutdown()).await
        };
        timeout(CLOSE_TIMEOUT, goodbye).await.unwrap_or(Err(LinkError::Stalled))
    }

    fn put<M: Serialize>(&mut self, message: &M) -> Result<(), LinkError> {
        let mut codec = Codec::<()>::new();
        codec.encode(message, &mut self.buffer).map_err(LinkError::from)
    }

    async fn relieve(&mut self) -> Result<(), LinkError> {
        if self.buffer.len() < GATHER { Ok(()) } else { self.write_gathered().await }
    }

    async fn write_gathered(&mut self) -> Result<(), LinkError> {
        while !self.buffer.is_empty() {
            let taken = in_time(self.stream.write(&self.buffer)).await?;
            if taken == 0 {
                return Err(LinkError::Io(io::ErrorKind::WriteZero.into()));
            }
            self.buffer.advance(taken);
        }
        // An idle link keeps nothing.
        self.buffer = BytesMut::new();
        Ok(())
    }
}

async fn in_time<T>(act: impl Future<Output = io::Result<T>>) -> Result<T, LinkError> {
    timeout(WRITE_STALL, act).await.map_err(|_| LinkError::Stalled)?.map_err(LinkError::Io)
}

/// A stream that remembers when something last came.
struct Heard {
    stream: Box<dyn AsyncRead + Send + Unpin>,
    at: Instant,
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.at = Instant::now();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use proto::frame::{FrameError, encode};
    use tokio::io::duplex;

    use super::*;

    fn link(capacity: usize) -> (Incoming<String>, Outgoing, Incoming<String>, Outgoing) {
        let (near, far) = duplex(capacity);
        let (near_in, near_out) = split(near);
        let (far_in, far_out) = split(far);
        (near_in, near_out, far_in, far_out)
    }

    #[tokio::test]
    async fn messages_arrive_whole_and_in_order_however_the_stream_cuts_them() {
        let (_near_in, mut near_out, mut far_in, _far_out) = link(3);
        far_in.accept_hello();
        let long = "ж".repeat(20_000);
        let encoded = [encode(&"two").expect("encodes"), encode(&"three").expect("encodes")];
        let write = async {
            near_out.feed(&"one").await?;
            near_out.send_encoded(&encoded).await?;
            near_out.send(&long).await?;
            near_out.close().await
        };
        let read = async {
            let mut messages = Vec::new();
            loop {
                match far_in.next().await {
                    Ok(message) => messages.push(message),
                    Err(error) => return (messages, error),
                }
            }
        };
        let (written, (messages, end)) = tokio::join!(write, read);
        written.expect("written");
        assert_eq!(messages, ["one", "two", "three", &long]);
        assert!(matches!(end, LinkError::Closed), "{end}");
    }

    #[tokio::test]
    async fn a_long_frame_before_the_hello_is_refused() {
        let (_near_in, mut near_out, mut far_in, _far_out) = link(64 * 1024);
        near_out.send(&"x".repeat(5000)).await.expect("sent");
        let error = far_in.next().await.expect_err("too long");
        assert!(matches!(error, LinkError::Frame(FrameError::TooLong { max: 4096 })), "{error}");
    }

    #[tokio::test]
    async fn a_message_that_does_not_fit_leaves_the_link_as_it_was() {
        let (_near_in, mut near_out, mut far_in, _far_out) = link(64);
        let error = near_out.send(&"\0".repeat(100_000)).await.expect_err("too long");
        assert!(matches!(error, LinkError::Frame(FrameError::TooLong { .. })), "{error}");
        near_out.send(&"short").await.expect("sent");
        assert_eq!(far_in.next().await.expect("arrives"), "short");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_found_and_a_slow_long_message_is_not_silence() {
        let (_near_in, _near_out, mut far_in, _far_out) = link(64);
        let begun = Instant::now();
        assert!(matches!(far_in.next().await, Err(LinkError::Silent)));
        assert_eq!(begun.elapsed(), DEAD_AFTER);

        let (mut near, far) = duplex(64);
        let (mut incoming, _outgoing) = split::<String, _>(far);
        let drip = async {
            for byte in &encode(&"slow").expect("encodes").0[..] {
                tokio::time::sleep(DEAD_AFTER / 2).await;
                near.write_all(&[*byte]).await.expect("written");
            }
        };
        let (message, ()) = tokio::join!(incoming.next(), drip);
        assert_eq!(message.expect("arrives"), "slow");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_given_up() {
        let (_near_in, mut near_out, _far_in, _far_out) = link(64);
        let begun = Instant::now();
        let error = near_out.send(&"x".repeat(1000)).await.expect_err("stalls");
        assert!(matches!(error, LinkError::Stalled), "{error}");
        assert_eq!(begun.elapsed(), WRITE_STALL);
    }
}
