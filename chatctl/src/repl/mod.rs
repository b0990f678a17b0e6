//! The prompt of `attach`.
//!
//! | module | holds |
//! | --- | --- |
//! | [`app`], `typed`, `answer` | what lines and answers do: calls and output (pure) |
//! | `drafts` | lines that are begun and not sent (pure) |
//! | [`follow`], `tracked`, [`step`], `announce` | what the screen has seen and lacks (pure) |
//! | [`commands`], [`completion`] | the table of commands, and what Tab offers (pure) |
//! | [`screen`] | the screen that the prompt and incoming lines share |
//! | [`editor`], [`input`] | the line editor, and the thread that reads lines |
//! | [`rows`] | rows that were continued by a backslash (pure) |
//! | [`link`] | gets the link to the daemon back |
//! | [`mid`] | makes identities of messages |

mod announce;
mod answer;
pub mod app;
pub mod commands;
pub mod completion;
mod drafts;
mod drive;
pub mod editor;
pub mod follow;
#[cfg(test)]
mod follow_tests;
pub mod input;
pub mod link;
pub mod mid;
pub mod rows;
pub mod screen;
pub mod step;
#[cfg(test)]
pub(crate) mod testing;
mod tracked;
mod typed;

pub use drive::{Setup, run};
