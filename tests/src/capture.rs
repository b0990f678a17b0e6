//! Everything that a program ever printed on a terminal: the bytes as they came, and the screen they made.

use std::num::NonZeroU16;

use vt100::Parser;

/// Rows of every screen.
pub const ROWS: u16 = 40;

/// Columns of every screen.
pub const COLS: u16 = 120;

/// Rows above the screen that are kept.
const SCROLLBACK: usize = 20_000;

/// See the module.
pub struct Capture {
    raw: Vec<u8>,
    parser: Parser,
    ended: bool,
}

impl Capture {
    /// An empty screen.
    #[allow(clippy::new_without_default, reason = "one screen, made in one place")]
    pub fn new() -> Self {
        let size = |count| NonZeroU16::new(count).expect("more than none");
        Self { raw: Vec::new(), parser: Parser::new(size(ROWS), size(COLS), SCROLLBACK), ended: false }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.parser.process(bytes);
    }

    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// The program has closed its terminal.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The bytes.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The bytes as text.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }

    /// How often a text was ever printed.
    pub fn count(&self, text: &str) -> usize {
        self.printed().matches(text).count()
    }

    /// All rows, those that have left the screen first, without what is blank at their ends.
    pub fn rows(&mut self) -> Vec<String> {
        let screen = self.parser.screen_mut();
        let mut above = screen.scrollback_len();
        let mut rows = Vec::new();
        while above > 0 {
            screen.set_scrollback(above);
            let page = usize::from(ROWS).min(above);
            rows.extend(screen.rows(0, COLS).take(page));
            above -= page;
        }
        screen.set_scrollback(0);
        rows.extend(screen.rows(0, COLS));
        let mut rows: Vec<String> = rows.iter().map(|row| row.trim_end().to_owned()).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    /// The row on which the cursor is.
    pub fn cursor_row(&self) -> String {
        let screen = self.parser.screen();
        let (row, _) = screen.cursor_position();
        screen.rows(0, COLS).nth(usize::from(row)).unwrap_or_default()
    }

    /// The program has asked the terminal to bracket what is pasted.
    pub fn brackets_pastes(&self) -> bool {
        self.parser.screen().bracketed_paste()
    }

    /// A prompt waits for a line: the cursor is right behind it and nothing is typed.
    pub fn is_at_prompt(&self, prompt: &str) -> bool {
        let row = self.cursor_row();
        let column = usize::from(self.parser.screen().cursor_position().1);
        let row = row.trim_end();
        row.starts_with(prompt) && row.ends_with(']') && column > row.len()
    }
}
