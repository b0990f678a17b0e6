//! `search WORDS`: finds messages.

use proto::ipc::{Call, Reply};
use proto::text::Words;

use crate::cli::Global;
use crate::client::unexpected;
use crate::failure::Failure;
use crate::json::Message;
use crate::output::Output;
use crate::{locate, render};

/// Most messages that one search gives.
pub(crate) const MAX_HITS: u32 = 50;
/// Said where a search has ended before it had seen everything.
pub(crate) const PARTIAL: &str =
    "Not all older lines were looked through; try again later, or with more words";

pub(super) async fn run(global: &Global, words: &[String]) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    let output = Output::new(global);
    match client.call(Call::Search { words: Words(words.join(" ")), limit: MAX_HITS }).await? {
        Reply::Found { hits, partial } => {
            if partial {
                eprintln!("{PARTIAL}");
            }
            hits.iter().try_for_each(|hit| {
                if output.json {
                    output.object(&Message::of_hit(hit))
                } else {
                    output.line(&render::hit(hit, output.style))
                }
            })
        }
        reply => Err(unexpected(&reply)),
    }
}
