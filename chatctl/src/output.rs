//! Standard output of the one-shot commands: lines for a person or objects for a script.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::cli::{Color, Global};
use crate::failure::Failure;
use crate::render::Style;

/// Writes results, each with its line end.
#[derive(Debug)]
pub struct Output {
    /// How lines look.
    pub style: Style,
    /// Objects are wanted instead of lines.
    pub json: bool,
}

impl Output {
    /// As the command line wants it.
    pub fn new(global: &Global) -> Self {
        Self { style: style(global), json: global.json }
    }

    /// Writes one line (or a message of several rows) and hands it to the system.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }

    /// Writes one object on one line.
    pub fn object(&self, row: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(row).map_err(|error| Failure::Failed(error.to_string()))?;
        self.line(&text)
    }
}

/// How lines look on this standard output.
pub fn style(global: &Global) -> Style {
    let terminal = io::stdout().is_terminal();
    if global.plain {
        return Style::plain();
    }
    let color = match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
    };
    Style { color, times: terminal, width: if terminal { columns() } else { None } }
}

/// Width of the terminal on standard output; `None` where it is none.
#[cfg(unix)]
pub fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Width of the terminal on standard output; not known here, so the narrowest usual one.
#[cfg(not(unix))]
pub fn columns() -> Option<usize> {
    Some(80)
}
