//! JSON messages in length-delimited frames: a big-endian `u32` length, then that many bytes of JSON.

use std::io;
use std::marker::PhantomData;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec, LengthDelimitedCodecError};

use crate::limits::{MAX_FRAME_LEN, MAX_HELLO_LEN};

/// Bytes of the length in front of a payload.
pub const HEAD_LEN: usize = 4;

/// Why a frame could not be read or written. Each one ends the link.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The announced length is over the limit; nothing was allocated for it.
    #[error("a frame is over the limit of {max} bytes")]
    TooLong {
        /// The limit in force, in bytes.
        max: usize,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
    /// The payload is not a message of this link.
    // Where, but not what: the reader's own words can quote the text.
    #[error("a frame does not hold a message of this link (at byte {})", .0.column())]
    Payload(#[from] serde_json::Error),
    /// The stream itself failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A message that is already in its frame, length included: made once, written to many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded(pub Bytes);

/// Puts a message into its frame.
///
/// # Errors
///
/// [`FrameError::TooLong`] where the payload is over [`MAX_FRAME_LEN`].
pub fn encode<M: Serialize>(message: &M) -> Result<Encoded, FrameError> {
    let mut buffer = BytesMut::new();
    encode_into(message, MAX_FRAME_LEN, &mut buffer)?;
    Ok(Encoded(buffer.freeze()))
}

fn encode_into<M: Serialize>(message: &M, max: usize, buffer: &mut BytesMut) -> Result<(), FrameError> {
    let start = buffer.len();
    buffer.put_bytes(0, HEAD_LEN);
    serde_json::to_writer(buffer.writer(), message)?;
    let len = buffer.len() - start - HEAD_LEN;
    let head = u32::try_from(len).ok().filter(|_| len <= max);
    let Some(head) = head else {
        buffer.truncate(start);
        return Err(FrameError::TooLong { max });
    };
    buffer[start..start + HEAD_LEN].copy_from_slice(&head.to_be_bytes());
    Ok(())
}

/// Reads messages of type `In`; writes any message, or an [`Encoded`] one.
///
/// A new codec reads frames of at most [`MAX_HELLO_LEN`]; [`Codec::accept`] lifts that once the hello was good.
#[derive(Debug)]
pub struct Codec<In> {
    frames: LengthDelimitedCodec,
    max: usize,
    /// The head of a frame was taken out of the buffer and its payload is still to come.
    inside: bool,
    message: PhantomData<fn() -> In>,
}

impl<In> Codec<In> {
    /// A codec for a link whose hello is still to come.
    pub fn new() -> Self {
        Self::with_limit(MAX_HELLO_LEN)
    }

    /// A codec that reads frames of at most `max` bytes of payload.
    pub fn with_limit(max: usize) -> Self {
        let frames = LengthDelimitedCodec::builder().max_frame_length(max).new_codec();
        Self { frames, max, inside: false, message: PhantomData }
    }

    /// The hello was good: from here on frames of up to [`MAX_FRAME_LEN`] are read.
    pub fn accept(&mut self) {
        self.max = MAX_FRAME_LEN;
        self.frames.set_max_frame_length(MAX_FRAME_LEN);
    }
}

impl<In> Default for Codec<In> {
    fn default() -> Self {
        Self::new()
    }
}

impl<In: DeserializeOwned> Decoder for Codec<In> {
    type Item = In;
    type Error = FrameError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<In>, FrameError> {
        let head_read = self.inside || source.len() >= HEAD_LEN;
        match self.frames.decode(source) {
            Ok(Some(payload)) => {
                self.inside = false;
                Ok(Some(serde_json::from_slice(&payload)?))
            }
            Ok(None) => {
                self.inside = head_read;
                Ok(None)
            }
            Err(error) if is_too_long(&error) => Err(FrameError::TooLong { max: self.max }),
            Err(error) => Err(FrameError::Io(error)),
        }
    }

    fn decode_eof(&mut self, source: &mut BytesMut) -> Result<Option<In>, FrameError> {
        match self.decode(source)? {
            Some(message) => Ok(Some(message)),
            None if source.is_empty() && !self.inside => Ok(None),
            None => Err(FrameError::Truncated),
        }
    }
}

fn is_too_long(error: &io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<LengthDelimitedCodecError>)
}

impl<In, Out: Serialize> Encoder<&Out> for Codec<In> {
    type Error = FrameError;

    fn encode(&mut self, message: &Out, buffer: &mut BytesMut) -> Result<(), FrameError> {
        encode_into(message, MAX_FRAME_LEN, buffer)
    }
}

impl<In> Encoder<Encoded> for Codec<In> {
    type Error = FrameError;

    fn encode(&mut self, message: Encoded, buffer: &mut BytesMut) -> Result<(), FrameError> {
        buffer.extend_from_slice(&message.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_all(codec: &mut Codec<Vec<String>>, bytes: &[u8]) -> Result<Vec<Vec<String>>, FrameError> {
        let mut buffer = BytesMut::from(bytes);
        let mut messages = Vec::new();
        while let Some(message) = codec.decode(&mut buffer)? {
            messages.push(message);
        }
        match codec.decode_eof(&mut buffer)? {
            Some(_) => panic!("decode had not finished"),
            None => Ok(messages),
        }
    }

    #[test]
    fn a_frame_is_its_length_then_json() {
        let frame = encode(&vec!["hi"]).expect("encodes");
        assert_eq!(&frame.0[..], b"\0\0\0\x06[\"hi\"]");
    }

    #[test]
    fn every_cut_of_two_frames_reads_the_same() {
        let frame = encode(&vec!["one", "Привет"]).expect("encodes").0;
        let both = [&frame[..], &frame[..]].concat();
        for cut in 0..=both.len() {
            let mut codec = Codec::<Vec<String>>::new();
            let mut buffer = BytesMut::from(&both[..cut]);
            let mut count = 0;
            while codec.decode(&mut buffer).expect("decodes").is_some() {
                count += 1;
            }
            buffer.extend_from_slice(&both[cut..]);
            while codec.decode(&mut buffer).expect("decodes").is_some() {
                count += 1;
            }
            assert_eq!(count, 2, "cut at {cut}");
        }
    }

    #[test]
    fn an_end_inside_a_frame_is_told_from_an_end_between_frames() {
        let frame = encode(&vec!["x"]).expect("encodes").0;
        for end in 0..=frame.len() {
            let outcome = decode_all(&mut Codec::new(), &frame[..end]);
            match end {
                0 => assert!(outcome.expect("empty").is_empty()),
                end if end == frame.len() => assert_eq!(outcome.expect("whole").len(), 1),
                _ => assert!(matches!(outcome, Err(FrameError::Truncated)), "end at {end}: {outcome:?}"),
            }
        }
    }

    #[test]
    fn an_over_long_frame_is_refused_by_its_head_alone() {
        let mut buffer = BytesMut::from(&(4097u32).to_be_bytes()[..]);
        let error = Codec::<Vec<String>>::new().decode(&mut buffer).expect_err("too long");
        assert!(matches!(error, FrameError::TooLong { max: 4096 }));
        let mut huge = BytesMut::from(&u32::MAX.to_be_bytes()[..]);
        let mut codec = Codec::<Vec<String>>::new();
        codec.accept();
        assert!(matches!(codec.decode(&mut huge), Err(FrameError::TooLong { max: MAX_FRAME_LEN })));
        assert!(huge.capacity() < MAX_FRAME_LEN);
    }

    #[test]
    fn any_text_within_its_limit_fits_into_a_frame() {
        let worst = "\u{0}".repeat(crate::limits::MAX_TEXT_LEN);
        assert!(encode(&vec![worst]).is_ok());
    }
}
