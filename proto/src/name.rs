//! A person's name, validated wherever it enters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_NAME_CHARS;

/// The name of a person: 1 to [`MAX_NAME_CHARS`] letters and digits of any script, with `_`, `-` and `.` inside.
///
/// It holds no space, control or invisible character, begins with a letter, and is never `lobby`,
/// so it can stand in a command, on a line and beside a session number without being taken for something else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a name needs at least one letter")]
    Empty,
    /// Too many characters.
    #[error("a name has at most {MAX_NAME_CHARS} characters, this one has {0}")]
    TooLong(usize),
    /// First character is not a letter.
    #[error("a name begins with a letter")]
    Start,
    /// A character that names do not have; it is shown by its code point where it cannot be seen.
    #[error("a name has letters, digits, '_', '-' and '.' only, not {}", shown(*.0))]
    Character(char),
    /// A word with a meaning of its own.
    #[error("'{0}' is a word of the chat itself, please take another name")]
    Reserved(String),
}

fn shown(c: char) -> String {
    if c.is_ascii_graphic() { format!("'{c}'") } else { format!("U+{:04X}", u32::from(c)) }
}

impl Name {
    /// Checks a text.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let count = text.chars().count();
        let Some(first) = text.chars().next() else {
            return Err(NameError::Empty);
        };
        if count > MAX_NAME_CHARS {
            return Err(NameError::TooLong(count));
        }
        if let Some(c) = text.chars().find(|&c| !is_name_char(c)) {
            return Err(NameError::Character(c));
        }
        if !first.is_alphabetic() {
            return Err(NameError::Start);
        }
        if text.eq_ignore_ascii_case("lobby") {
            return Err(NameError::Reserved(text));
        }
        Ok(Self(text))
    }

    /// The name as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form under which two names are the same name: case does not count.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }

    /// The `n`th alternative for a name that is taken: `anna` becomes `anna_2`.
    ///
    /// A long name is shortened so that the result still is a name.
    #[must_use]
    pub fn with_suffix(&self, n: u32) -> Self {
        let suffix = format!("_{n}");
        let keep = MAX_NAME_CHARS.saturating_sub(suffix.len());
        let mut text: String = self.0.chars().take(keep).collect();
        text.push_str(&suffix);
        Self(text)
    }
}

fn is_name_char(c: char) -> bool {
    let visible = unicode_width::UnicodeWidthChar::width(c).is_some_and(|width| width > 0);
    (c.is_alphanumeric() && visible && !is_blank_letter(c)) || matches!(c, '_' | '-' | '.')
}

/// Letters by their category that show nothing: the Hangul fillers.
fn is_blank_letter(c: char) -> bool {
    matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_any_script_make_a_name() {
        for good in ["anna", "Bobby.7", "анна", "李小龍", "a", "x_-.", &"ä".repeat(32)] {
            assert_eq!(Name::new(good).expect(good).as_str(), good);
        }
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_refused() {
        use NameError::{Character, Empty, Reserved, Start, TooLong};
        let long = "a".repeat(33);
        let cases = [
            ("", Empty),
            (long.as_str(), TooLong(33)),
            ("7up", Start),
            ("_anna", Start),
            ("anna ", Character(' ')),
            ("an\u{200b}na", Character('\u{200b}')),
            ("an\u{202e}na", Character('\u{202e}')),
            ("an\u{1b}[31mna", Character('\u{1b}')),
            ("an\nna", Character('\n')),
            ("a\u{3164}b", Character('\u{3164}')),
            ("a/b", Character('/')),
            ("Lobby", Reserved("Lobby".into())),
        ];
        for (text, error) in cases {
            assert_eq!(Name::new(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_suffix_never_makes_a_name_too_long() {
        let long = Name::new("é".repeat(32)).expect("32 letters");
        let other = long.with_suffix(12);
        assert!(Name::new(other.as_str()).is_ok());
        assert!(other.as_str().ends_with("_12"));
        assert_eq!(Name::new("anna").expect("name").with_suffix(2).as_str(), "anna_2");
    }

    #[test]
    fn names_that_differ_by_case_are_one_name() {
        let folded = |text: &str| Name::new(text).expect(text).folded();
        assert_eq!(folded("Anna"), folded("aNNA"));
        assert_eq!(folded("АННА"), folded("анна"));
    }
}
