//! Every bound of the wires. Both ends enforce them; what is over a bound is refused, never cut.

/// Longest text of one message, in bytes of UTF-8. A Cyrillic line of 20,000 letters is 40,000 bytes.
pub const MAX_TEXT_LEN: usize = 64 * 1024;

/// Longest name, in characters.
pub const MAX_NAME_CHARS: usize = 32;

/// Longest payload of a frame before the other side's hello was accepted, in bytes.
pub const MAX_HELLO_LEN: usize = 4 * 1024;

/// Longest payload of a frame after the hello, in bytes.
///
/// One byte of text takes at most six in JSON (`\u0000`), so any text up to [`MAX_TEXT_LEN`] fits.
pub const MAX_FRAME_LEN: usize = 6 * MAX_TEXT_LEN + 16 * 1024;

/// Most entries that are on their way to a peer without its acknowledgement.
pub const WINDOW_ENTRIES: u64 = 256;

/// Most entries in one page of history.
pub const PAGE_ENTRIES: usize = 256;

/// Most bytes of text in one page of history, so that the page fits into [`MAX_FRAME_LEN`] whatever the text is.
/// The first entry of a page is there even if it alone is longer.
pub const PAGE_BYTES: usize = 48 * 1024;

/// Most entries in one page of an exported history; together at most [`PAGE_BYTES`] of text.
pub const PAGE_RECORDS: usize = 128;

/// Most members in one page of the users list.
pub const PAGE_MEMBERS: usize = 512;

/// Most probes in one `locate`.
pub const MAX_PROBES: usize = 64;

/// Most addresses that one side names for itself.
pub const MAX_ADDRS: usize = 4;
