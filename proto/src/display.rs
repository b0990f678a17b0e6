//! Makes text from outside safe to show on a terminal.
//!
//! Whatever a person, a lobby or a file name says, it can neither move the cursor, colour, ring, hide, reorder, nor
//! pass for a line of somebody else. Raw text stays in the log; every way to a screen goes through here.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Stands before every row of a message but the first.
pub const GUTTER: &str = "  | ";

/// Most combining marks on one character; more are shown as escapes.
const MAX_MARKS: usize = 8;

/// Columns that a tab takes.
const TAB: &str = "    ";

/// One row: everything that is not plain visible text is shown as an escape, line ends too.
///
/// For names, reasons, file names: whatever has to stay on its line.
pub fn line(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    push_row(&mut out, text);
    Cow::Owned(out)
}

/// The rows of a message, each safe by itself. `\n` and `\r\n` end a row; one at the very end adds none.
pub fn rows(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    text.split('\n').map(|row| line(row.strip_suffix('\r').unwrap_or(row)))
}

/// `head` and the message behind it, further rows behind the [`GUTTER`]; rows are parted by `\n`, none at the end.
///
/// With a `width` (columns of the screen) rows that are longer are broken, so that no text can use the terminal's own
/// line break to stand at the left edge. `head` must be safe already.
pub fn message(head: &str, text: &str, width: Option<usize>) -> String {
    let mut out = String::with_capacity(head.len() + text.len() + 16);
    out.push_str(head);
    let mut used = head.width();
    for (index, row) in rows(text).enumerate() {
        if index > 0 {
            out.push('\n');
            out.push_str(GUTTER);
            used = GUTTER.len();
        }
        match width {
            Some(width) => push_wrapped(&mut out, &row, used, width),
            None => out.push_str(&row),
        }
    }
    out
}

/// Breaks `row` so that nothing passes `width`, between words where it can; `used` columns of the first line are taken.
/// A space at which a line ends is not shown.
fn push_wrapped(out: &mut String, row: &str, mut used: usize, width: usize) {
    // The narrowest screen on which the gutter still leaves room for any one character.
    let width = width.max(GUTTER.len() + 8);
    let new_line = |out: &mut String| {
        out.push('\n');
        out.push_str(GUTTER);
        GUTTER.len()
    };
    for piece in row.split_inclusive(' ') {
        let word = piece.strip_suffix(' ').unwrap_or(piece);
        let columns = word.width();
        if used + columns > width && GUTTER.len() + columns <= width {
            used = new_line(out);
        }
        for cluster in word.graphemes(true) {
            let columns = cluster.width();
            if used + columns > width {
                used = new_line(out);
            }
            out.push_str(cluster);
            used += columns;
        }
        if word.len() < piece.len() && used < width {
            out.push(' ');
            used += 1;
        }
    }
}

/// Nothing in it needs an escape: the common case, decided without a copy.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        || text.chars().all(|c| !is_hostile(c) && c.width() != Some(0))
}

fn push_row(out: &mut String, text: &str) {
    let mut marks = 0;
    let mut chars = text.chars().peekable();
    // The character before, if it was shown: after an escape nothing joins and no mark is placed.
    let mut before = None;
    while let Some(c) = chars.next() {
        let joins = match c {
            '\u{fe0f}' => before.is_some_and(is_emoji_base),
            '\u{200d}' => {
                before.is_some_and(|b| is_pictograph(b) || b == '\u{fe0f}')
                    && chars.peek().copied().is_some_and(is_pictograph)
            }
            _ => false,
        };
        let alone = before.is_none();
        let zero_width = c.width() == Some(0) && !joins;
        marks = if zero_width { marks + 1 } else { 0 };
        before = Some(c);
        match c {
            '\t' => out.push_str(TAB),
            c if joins => out.push(c),
            c if is_hostile(c) || marks > MAX_MARKS || (zero_width && alone) => {
                push_escape(out, c);
                before = None;
            }
            c => out.push(c),
        }
    }
}

fn push_escape(out: &mut String, c: char) {
    let code = u32::from(c);
    let outcome = match c {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        _ if code < 0x80 => write!(out, "\\x{code:02x}"),
        _ => write!(out, "\\u{{{code:x}}}"),
    };
    debug_assert!(outcome.is_ok(), "writing to a string cannot fail");
}

/// Controls, marks of direction, and whatever takes no room or looks like nothing.
fn is_hostile(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'                           // C0, DEL, C1
        | '\u{61c}' | '\u{200e}' | '\u{200f}'                           // marks of direction
        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'             // embeddings, overrides, isolates
        | '\u{2028}' | '\u{2029}'                                       // line and paragraph separator
        | '\u{ad}' | '\u{34f}' | '\u{180b}'..='\u{180f}'                // soft hyphen, joiner, Mongolian selectors
        | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{feff}' // zero width
        | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}' // fillers
        | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'           // variation selectors
        | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'           // annotations, tags, unassigned specials
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'         // shorthand and musical format controls
        | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}'          // private use: no two screens agree on it
    )
}

/// Characters whose picture a following U+FE0F chooses; only there may it stand.
fn is_emoji_base(c: char) -> bool {
    is_pictograph(c) || matches!(c, '0'..='9' | '#' | '*' | '\u{a9}' | '\u{ae}')
}

/// Pictographs that U+200D joins into one; only between them may it stand.
fn is_pictograph(c: char) -> bool {
    matches!(c,
        '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{27bf}'
        | '\u{2900}'..='\u{297f}' | '\u{2b00}'..='\u{2bff}' | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}'
        | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_of_any_script_is_shown_as_it_is() {
        for text in [
            "hello",
            "Привет, мир",
            "你好",
            "مرحبا",
            "e\u{301}",
            "❤\u{fe0f} 👩\u{200d}👩\u{200d}👧 1\u{fe0f}\u{20e3}",
        ] {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn what_could_steer_a_terminal_is_shown_as_an_escape() {
        let cases = [
            ("\u{1b}[2J", "\\x1b[2J"),
            ("\u{1b}]52;c;aGk=\u{7}", "\\x1b]52;c;aGk=\\x07"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\rb\u{8}\u{7f}", "a\\rb\\x08\\x7f"),
            ("a\nb", "a\\nb"),
            ("abc\u{202e}def", "abc\\u{202e}def"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("a\u{200d}b", "a\\u{200d}b"),
            ("a\u{fe0f}", "a\\u{fe0f}"),
            ("x\u{2028}y", "x\\u{2028}y"),
            ("\u{301}x", "\\u{301}x"),
            ("a\tb", "a    b"),
        ];
        for (text, shown) in cases {
            assert_eq!(line(text), shown, "{text:?}");
        }
    }

    #[test]
    fn regression_nothing_joins_an_escape() {
        assert_eq!(line("a\u{fe0f}\u{200d}👩"), "a\\u{fe0f}\\u{200d}👩");
        assert_eq!(line("\u{1b}\u{301}"), "\\x1b\\u{301}");
    }

    #[test]
    fn a_pile_of_marks_is_cut_off() {
        let shown = line(&format!("z{}", "\u{335}".repeat(40))).into_owned();
        assert_eq!(shown.matches('\u{335}').count(), MAX_MARKS);
        assert!(shown.ends_with("\\u{335}"));
    }

    #[test]
    fn a_further_row_never_stands_at_the_left_edge() {
        let shown = message("> bobby: ", "hi\n>>> User anna has left\r\n\n> anna: bye\n", None);
        assert_eq!(shown, "> bobby: hi\n  | >>> User anna has left\n  | \n  | > anna: bye");
    }

    #[test]
    fn a_long_row_is_broken_before_the_terminal_breaks_it() {
        let text = format!("{}> anna: bye", " ".repeat(11));
        let shown = message("> bobby: ", &text, Some(20));
        assert_eq!(shown, format!("> bobby: {}\n  | > anna: bye", " ".repeat(11)));
        assert_eq!(message("", "ab漢字cdefghijk", Some(12)), "ab漢字cdefgh\n  | ijk");
        assert_eq!(message("> x: ", "one two three four", Some(14)), "> x: one two \n  | three four");
    }

    /// Any text, and text that is thick with what joins, hides and stacks.
    fn foreign_text() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), "[a1👩❤\u{fe0f}\u{200d}\u{301}\u{1b}\u{202e}\n\t]{0,12}"]
    }

    proptest! {
        #[test]
        fn nothing_hostile_passes(text in foreign_text(), width in proptest::option::of(1usize..60)) {
            let shown = message("> x: ", &text, width);
            for (index, row) in shown.split('\n').enumerate() {
                prop_assert!(index == 0 || row.starts_with(GUTTER));
                let mut before = ' ';
                for c in row.chars() {
                    let joiner = matches!(c, '\u{fe0f}' | '\u{200d}');
                    let selector_alone = c == '\u{fe0f}' && !is_emoji_base(before);
                    let joiner_alone = c == '\u{200d}' && !(is_pictograph(before) || before == '\u{fe0f}');
                    prop_assert!(!is_hostile(c) || joiner, "{:?}", c);
                    prop_assert!(!joiner_alone, "a joiner after {:?}", before);
                    prop_assert!(!selector_alone, "a selector after {:?}", before);
                    before = c;
                }
                if let Some(width) = width {
                    prop_assert!(row.width() <= width.max(GUTTER.len() + 8) || index == 0 && row.len() <= 5);
                }
            }
        }

        #[test]
        fn text_is_lost_nowhere(text in "[ -~\n]{0,200}", width in proptest::option::of(20usize..60)) {
            let shown = message("", &text, width);
            let joined: String = shown.split('\n').enumerate()
                .map(|(index, row)| if index == 0 { row } else { &row[GUTTER.len()..] })
                .collect();
            prop_assert_eq!(joined.replace(' ', ""), text.replace(['\n', ' '], ""));
        }
    }
}
