//! What a search compares: texts in one form of case and accents, and the words in them.
//!
//! The index gets words that are parted here already, so that what is typed can never be an order to it, and so that
//! scripts that put no spaces between words are found as well: their letters are indexed alone and in pairs.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;

/// Longest word in the index, in characters; of a longer one its beginning.
const LONGEST: usize = 64;
/// A search word of so many letters stands for every word that begins with it. A shorter one is a word of its own: one
/// letter begins a good part of all that was ever said.
const SHORTEST_BEGINNING: usize = 2;

/// Case, accents and other forms of the same letters do not count: `ЗЕЛЁНАЯ` is `зеленая`.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let accent = |letter: &char| matches!(letter, '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}');
    let bare = text.nfkd().filter(|letter| !accent(letter)).flat_map(char::to_lowercase);
    bare.map(|letter| if letter == 'ς' { 'σ' } else { letter }).nfc().collect()
}

/// The letters of scripts that put no spaces between words, and signs that are words of their own (arrows, emoji).
fn stands_alone(letter: char) -> bool {
    matches!(letter,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{2190}'..='\u{2bff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{1f000}'..='\u{1faff}' | '\u{20000}'..='\u{3ffff}')
}

fn in_word(letter: char) -> bool {
    letter.is_alphanumeric() && !stands_alone(letter)
}

/// One word of a text, or one run of letters that stand alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Word(&'a str),
    Run(&'a str),
}

/// The pieces of a folded text.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|letter| !in_word(letter) && !stands_alone(letter));
        let first = rest.chars().next()?;
        let same = if stands_alone(first) { stands_alone } else { in_word };
        let end = rest.find(|letter| !same(letter)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(if stands_alone(first) { Piece::Run(piece) } else { Piece::Word(piece) })
    })
}

fn beginning(word: &str) -> &str {
    word.char_indices().nth(LONGEST).map_or(word, |(end, _)| &word[..end])
}

/// The letters of a run in pairs.
fn pairs(run: &str) -> impl Iterator<Item = &str> {
    let ends = run.char_indices().map(|(at, letter)| at + letter.len_utf8()).skip(1);
    run.char_indices().zip(ends).map(|((at, _), end)| &run[at..end])
}

fn letters(run: &str) -> impl Iterator<Item = &str> {
    run.char_indices().map(|(at, letter)| &run[at..at + letter.len_utf8()])
}

/// What the index gets of a text: its words, each once, with spaces between them.
pub(super) fn for_index(text: &str) -> String {
    let text = fold(text);
    let mut words = BTreeSet::new();
    for piece in pieces(&text) {
        match piece {
            Piece::Word(word) => words.extend([beginning(word)]),
            Piece::Run(run) => words.extend(letters(run).chain(pairs(run))),
        }
    }
    words.into_iter().collect::<Vec<_>>().join(" ")
}

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    words: Vec<String>,
}

impl Query {
    /// Everything that white space parts is one word, whatever signs are in it.
    pub fn new(words: &str) -> Self {
        Self { words: fold(words).split_whitespace().map(str::to_owned).collect() }
    }

    /// So many words are searched for.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Nothing is searched for.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The same for the index, which may find more than is meant ([`Query::is_in`] decides); `None` where there is
    /// nothing that it knows, as in `:-)`.
    pub(super) fn for_index(&self) -> Option<String> {
        let mut wanted = BTreeSet::new();
        for word in &self.words {
            for piece in pieces(word) {
                match piece {
                    Piece::Run(run) if run.chars().nth(1).is_none() => wanted.extend([format!("\"{run}\"")]),
                    Piece::Run(run) => wanted.extend(pairs(run).map(|pair| format!("\"{pair}\""))),
                    Piece::Word(piece) => {
                        let begins = word.ends_with(piece) && piece.chars().count() >= SHORTEST_BEGINNING;
                        let mark = if begins || beginning(piece) != piece { "*" } else { "" };
                        wanted.insert(format!("\"{}\"{mark}", beginning(piece)));
                    }
                }
            }
        }
        let wanted = wanted.into_iter().collect::<Vec<_>>().join(" AND ");
        (!wanted.is_empty()).then_some(wanted)
    }

    /// A text holds all the words, each where a word begins.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let text = fold(text);
        self.words.iter().all(|word| text.match_indices(word).any(|(at, _)| stands_at(&text, at, word)))
    }
}

/// A word that was found in a text is one there, or the beginning of one.
fn stands_at(text: &str, at: usize, word: &str) -> bool {
    let part_of_word = |letter: Option<char>| letter.is_some_and(in_word);
    let inside = part_of_word(word.chars().next()) && part_of_word(text[..at].chars().next_back());
    let whole = word.chars().count() >= SHORTEST_BEGINNING
        || !part_of_word(word.chars().next())
        || !part_of_word(text[at + word.len()..].chars().next());
    !inside && whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_and_scripts_without_spaces_give_letters_and_pairs() {
        assert_eq!(for_index("The build's GREEN, the end"), "build end green s the");
        assert_eq!(for_index("Сборка ЗЕЛЁНАЯ"), "зеленая сборка");
        assert_eq!(for_index("今天好 ok🎉"), "ok 今 今天 天 天好 好 🎉");
        assert_eq!(for_index(" \u{7} :-) "), "");
        assert_eq!(for_index(&"x".repeat(1000)).len(), LONGEST);
    }

    #[test]
    fn what_is_typed_is_never_an_order_to_the_index() {
        let index = |words| Query::new(words).for_index();
        assert_eq!(index("buil").as_deref(), Some("\"buil\"*"));
        assert_eq!(index("a NOT b*").as_deref(), Some("\"a\" AND \"b\" AND \"not\"*"));
        assert_eq!(
            index("\"o'clock\" text:x^2").as_deref(),
            Some("\"2\" AND \"clock\" AND \"o\" AND \"text\" AND \"x\"")
        );
        assert_eq!(index("今天好").as_deref(), Some("\"今天\" AND \"天好\""));
        assert_eq!(index(":-) \"\" *"), None);
        assert_eq!(index(&"x".repeat(99)), Some(format!("\"{}\"*", "x".repeat(LONGEST))));
    }

    #[test]
    fn a_word_is_found_where_one_begins_in_any_case_and_form() {
        let found = |words: &str, text: &str| Query::new(words).is_in(text);
        assert!(found("buil GREEN", "green: the Build"));
        assert!(!found("uild", "the build"));
        assert!(found("зелёная", "сборка зеленая") && found("ЗЕЛЕНАЯ", "зелёная"));
        assert!(found("o'clock", "nine o'clock") && !found("o'clock", "o clock"));
        assert!(found("c++", "in C++ and") && !found("c++", "in C and"));
        assert!(found("天气", "今天天气很好") && found("好", "今天天气很好"));
        assert!(found("a", "a word") && !found("a", "any word"));
        assert!(found("ｆｕｌｌ", "full") && found("ΟΔΟΣ", "οδος") && found("🎉", "done🎉🎉"));
    }
}
