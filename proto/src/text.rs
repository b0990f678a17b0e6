//! What a person wrote: exact, and bounded.

use std::fmt;

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
        Length(&self.0).fmt(f)
    }
}

/// Stands for a text in the `Debug` of what holds one: its length, never the words.
pub struct Length<'a>(pub &'a str);

impl fmt::Debug for Length<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// Words that are looked for: as private as what they are looked for in. `Debug` gives their length.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Words(pub String);

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Length(&self.0).fmt(f)
    }
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
