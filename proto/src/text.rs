//! What a person wrote: exact, and bounded.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_TEXT_LEN;

/// The text of one message: 1 to [`MAX_TEXT_LEN`] bytes of any UTF-8, kept byte for byte. Rows end with `\n`.
///
/// It is raw: show it only through [`crate::display`]. `Debug` gives its length, never the words,
/// so that no log can hold them.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text(String);

/// Why a text cannot be a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing there.
    #[error("there is no text to send")]
    Empty,
    /// Over the limit.
    #[error("the text has {0} bytes, a message holds at most {MAX_TEXT_LEN}; send it in parts")]
    TooLong(usize),
}

impl Text {
    /// Checks the length of a text.
    pub fn new(text: impl Into<String>) -> Result<Self, TextError> {
        let text = text.into();
        match text.len() {
            0 => Err(TextError::Empty),
            len if len > MAX_TEXT_LEN => Err(TextError::TooLong(len)),
            _ => Ok(Self(text)),
        }
    }

    /// The raw text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        length(&self.0, f)
    }
}

/// What somebody has written, raw and of any length: in an entry, in a search, in a line of an export.
///
/// `Debug` gives its length, never the words, so that whatever holds one can be logged. Show it only through
/// [`crate::display`].
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Words(pub String);

impl Words {
    /// The raw words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        length(&self.0, f)
    }
}

impl Deref for Words {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<String> for Words {
    fn from(words: String) -> Self {
        Self(words)
    }
}

impl From<&str> for Words {
    fn from(words: &str) -> Self {
        Self(words.to_owned())
    }
}

impl From<Words> for String {
    fn from(words: Words) -> Self {
        words.0
    }
}

impl From<Text> for Words {
    fn from(text: Text) -> Self {
        Self(text.0)
    }
}

fn length(words: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "Text({} bytes)", words.len())
}

impl TryFrom<String> for Text {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        Self::new(text)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_allowed_and_one_byte_more_is_not() {
        assert!(Text::new("x".repeat(MAX_TEXT_LEN)).is_ok());
        assert_eq!(Text::new("x".repeat(MAX_TEXT_LEN + 1)), Err(TextError::TooLong(MAX_TEXT_LEN + 1)));
        assert_eq!(Text::new(""), Err(TextError::Empty));
    }

    #[test]
    fn debug_output_never_holds_the_words() {
        let text = Text::new("meet me at nine").expect("text");
        assert_eq!(format!("{text:?}"), "Text(15 bytes)");
    }
}
