//! A person's name, validated wherever it enters.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use precis_core::Error as Precis;
use precis_core::profile::Profile;
use precis_profiles::{UsernameCaseMapped, UsernameCasePreserved};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_script::{Script, UnicodeScript};
use unicode_security::confusable_detection::skeleton;

use crate::limits::MAX_NAME_CHARS;

/// Most combining marks on one letter. Thai and Hindi need two or three; more only pile up over other lines.
const MAX_MARKS: usize = 4;

/// The name of a person: 1 to [`MAX_NAME_CHARS`] letters and digits of any script, with `_`, `-` and `.` inside.
///
/// It is in the normal form of the PRECIS profile `UsernameCasePreserved` (RFC 8265): width mapped, NFC. It holds no
/// space, control or invisible character, begins with a letter, and is never `lobby` nor looks like it, so it can
/// stand in a command, on a line and beside a session number without being taken for something else.
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
    /// Letters that are written from the right stand beside such that are written from the left, or two sorts of
    /// digits beside each other.
    #[error("a name is written in one direction and with one sort of digits")]
    Mixed,
    /// A word with a meaning of its own, or what looks like it.
    #[error("'{0}' is a word of the chat itself, please take another name")]
    Reserved(String),
}

fn shown(c: char) -> String {
    if c.is_ascii_graphic() { format!("'{c}'") } else { format!("U+{:04X}", u32::from(c)) }
}

impl Name {
    /// Checks a text and brings it into the normal form.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let count = text.chars().count();
        // Composing makes a name shorter, by less than this.
        if count > 4 * MAX_NAME_CHARS {
            return Err(NameError::TooLong(count));
        }
        let text = normal_form(&text)?;
        let Some(first) = text.chars().next() else {
            return Err(NameError::Empty);
        };
        let count = text.chars().count();
        if count > MAX_NAME_CHARS {
            return Err(NameError::TooLong(count));
        }
        if let Some(c) = text.chars().find(|&c| !is_name_char(c)).or_else(|| misplaced_mark(&text)) {
            return Err(NameError::Character(c));
        }
        if !first.is_alphabetic() {
            return Err(NameError::Start);
        }
        let name = Self(text);
        if name.skeletons().iter().any(|skeleton| skeleton == "lobby") {
            return Err(NameError::Reserved(name.0));
        }
        Ok(name)
    }

    /// The name as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form under which two names are the same name: PRECIS `UsernameCaseMapped`, a final sigma as any other, and
    /// no dot over a Turkish i that has one anyway. It is a name itself.
    pub fn folded(&self) -> String {
        if self.0.is_ascii() {
            return self.0.to_ascii_lowercase();
        }
        let mapped = UsernameCaseMapped::new().enforce(self.0.as_str()).ok();
        let mapped = mapped.filter(|mapped| UsernameCaseMapped::new().prepare(mapped.as_ref()).is_ok());
        let mapped = mapped.map_or_else(|| known_lower_case(&self.0), Cow::into_owned);
        mapped.replace('ς', "σ").replace("i\u{307}", "i")
    }

    /// What the name looks like: the confusables skeleton of UTS 39 after case mapping, in lower case. Names with
    /// equal skeletons are easily taken for each other, whatever letters they are made of.
    pub fn skeleton(&self) -> String {
        look(&self.folded())
    }

    /// [`Name::skeleton`], and that of the name as it is spelled where it is another: `Ian` looks like `lan`, which
    /// `ian` does not.
    pub fn skeletons(&self) -> Vec<String> {
        let mut skeletons = vec![self.skeleton(), look(&self.0)];
        skeletons.dedup();
        skeletons
    }

    /// The two are easily taken for each other, or are the same name.
    pub fn looks_like(&self, other: &Self) -> bool {
        let others = other.skeletons();
        self.skeletons().iter().any(|skeleton| others.contains(skeleton))
    }

    /// The `n`th alternative for a name that is taken: `anna` becomes `anna_2`.
    ///
    /// A long name is shortened so that the result still is a name.
    #[must_use]
    pub fn with_suffix(&self, n: u32) -> Self {
        let suffix = format!("_{n}");
        let keep = MAX_NAME_CHARS.saturating_sub(suffix.len());
        let form = |base: &str| Self::new(base.chars().take(keep).chain(suffix.chars()).collect::<String>());
        // Digits of two sorts do not go together: then the name goes without its own.
        let letters = || self.0.chars().filter(|c| !c.is_numeric()).collect::<String>();
        form(&self.0).or_else(|_| form(&letters())).unwrap_or_else(|_| Self(format!("member{suffix}")))
    }
}

/// Width mapped and composed by PRECIS, which also refuses what no user name has.
fn normal_form(text: &str) -> Result<String, NameError> {
    if text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.')) {
        return Ok(text.to_owned());
    }
    let composed: String = text.chars().flat_map(spelled_out).nfc().collect();
    match UsernameCasePreserved::new().enforce(composed.as_str()) {
        Ok(text) => Ok(text.into_owned()),
        Err(Precis::BadCodepoint(bad)) => {
            Err(NameError::Character(char::from_u32(bad.cp).unwrap_or(char::REPLACEMENT_CHARACTER)))
        }
        Err(_) => Err(NameError::Mixed),
    }
}

/// Thai and Lao AM are single keys on their keyboards, and compatibility characters for PRECIS, which refuses them.
fn spelled_out(c: char) -> impl Iterator<Item = char> {
    let parts = match c {
        '\u{e33}' => ['\u{e4d}', '\u{e32}'],
        '\u{eb3}' => ['\u{ecd}', '\u{eb2}'],
        c => [c, '\0'],
    };
    parts.into_iter().take(if parts[1] == '\0' { 1 } else { 2 })
}

fn is_name_char(c: char) -> bool {
    matches!(c, '_' | '-' | '.') || is_script_mark(c) || is_visible_letter(c)
}

fn is_visible_letter(c: char) -> bool {
    let visible = unicode_width::UnicodeWidthChar::width(c).is_some_and(|width| width > 0);
    c.is_alphanumeric() && visible && !is_blank_letter(c)
}

/// Part of the writing of one script, like a vowel of Hindi or Thai. An accent that goes on any letter is none: those
/// that stay after composing serve to make one name look like another.
fn is_script_mark(c: char) -> bool {
    let inherent = matches!(c, '\u{17b4}' | '\u{17b5}'); // vowels of Khmer that show nothing
    is_combining_mark(c) && !inherent && !matches!(c.script(), Script::Inherited | Script::Common)
}

/// A mark that stands on nothing, on a letter of another script, twice, or as one too many.
fn misplaced_mark(text: &str) -> Option<char> {
    let (mut base, mut last, mut marks) = (None::<char>, None, 0);
    for c in text.chars() {
        if !is_combining_mark(c) {
            (base, last, marks) = (Some(c).filter(|c| c.is_alphabetic()), None, 0);
            continue;
        }
        marks += 1;
        if base.is_none_or(|base| base.script() != c.script()) || last == Some(c) || marks > MAX_MARKS {
            return Some(c);
        }
        last = Some(c);
    }
    None
}

/// Letters by their category that show nothing: the Hangul fillers.
fn is_blank_letter(c: char) -> bool {
    matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

/// Letters whose small form is younger than the tables of PRECIS (Cherokee) stay as they are.
fn known_lower_case(text: &str) -> String {
    let known = |c: &char| UsernameCaseMapped::new().prepare(c.to_string()).is_ok();
    let small = |c: char| {
        if c.to_lowercase().all(|c| known(&c)) { c.to_lowercase().collect() } else { c.to_string() }
    };
    text.chars().map(small).collect::<String>().nfc().collect()
}

fn look(text: &str) -> String {
    let small = skeleton(text).flat_map(char::to_lowercase).collect::<String>();
    small.replace("i\u{307}", "i") // of İ, which looks like I
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
#[path = "name_tests.rs"]
mod tests;
