//! Rows that were continued by a backslash at the keyboard, told from backslashes that were pasted.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Whether another row of the message follows: an odd number of backslashes at the end, and not alone.
pub fn continues(line: &str) -> bool {
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    backslashes % 2 == 1 && line.len() > 1
}

/// Where Enter was pressed behind a backslash in the line that is being typed.
///
/// The editor cannot take the backslash out at that moment, so it is taken out once the line is read.
#[derive(Debug, Default)]
pub struct Continued {
    /// Length and hash of what stood before the new row, backslash included; upwards.
    places: Vec<(usize, u64)>,
}

impl Continued {
    /// Another row begins behind `line`.
    pub fn mark(&mut self, line: &str) {
        self.places.push((line.len(), hash(line)));
    }

    /// A new line begins.
    pub fn clear(&mut self) {
        self.places.clear();
    }

    /// The line without those backslashes. One before which something was changed later stays: what it belonged to
    /// is no longer known.
    pub fn join(&self, line: &str) -> String {
        let mut joined = String::with_capacity(line.len());
        let mut taken = 0;
        for &(len, known) in &self.places {
            let Some((before, after)) = line.split_at_checked(len) else { continue };
            if len > taken && after.starts_with('\n') && hash(before) == known {
                joined.push_str(&line[taken..len - 1]);
                taken = len;
            }
        }
        joined.push_str(&line[taken..]);
        joined
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_backslash_at_the_end_asks_for_another_row() {
        for (line, more) in [("a\\", true), ("a\\\\", false), ("a", false), ("\\", false), ("a\\b", false)] {
            assert_eq!(continues(line), more, "{line:?}");
        }
    }

    #[test]
    fn typed_backslashes_go_and_pasted_ones_stay() {
        let mut continued = Continued::default();
        continued.mark("one\\");
        continued.mark("one\\\ntwo\\");
        assert_eq!(continued.join("one\\\ntwo\\\npasted \\\nend"), "one\ntwo\npasted \\\nend");
        assert_eq!(continued.join("changed\\\nlater"), "changed\\\nlater");
        assert_eq!(continued.join("two\\\nlater"), "two\\\nlater");
        assert_eq!(continued.join("é"), "é");
        continued.clear();
        assert_eq!(continued.join("one\\\ntwo"), "one\\\ntwo");
    }
}
