//! The prompt of `attach`.
//!
//! | module | holds |
//! | --- | --- |
//! | [`app`], [`answer`] | what lines and answers do: calls and output (pure) |
//! | [`follow`], [`announce`] | what the screen has seen and lacks (pure) |
//! | [`commands`], [`completion`] | the table of commands, and what Tab offers (pure) |
//! | [`screen`] | the screen that the prompt and incoming lines share |
//! | [`editor`], [`input`] | the line editor, and the thread that reads lines |
//! | [`link`] | gets the link to the daemon back |
//! | [`mid`] | makes identities of messages |

mod announce;
mod answer;
pub mod app;
pub mod commands;
pub mod completion;
mod drive;
pub mod editor;
pub mod follow;
pub mod input;
pub mod link;
pub mod mid;
pub mod screen;
#[cfg(test)]
pub(crate) mod testing;

pub use drive::{Setup, run};
