//! `blocks`: whom the person has blocked.

use proto::ipc::{Call, Reply};
use serde::Serialize;

use crate::cli::Global;
use crate::client::unexpected;
use crate::failure::Failure;
use crate::output::Output;
use crate::{locate, render};

#[derive(Serialize)]
struct Blocked<'a> {
    name: &'a str,
    fingerprint: &'a str,
}

pub(super) async fn run(global: &Global) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    let output = Output::new(global);
    let mut after = None;
    loop {
        let (peers, more) = match client.call(Call::Blocks { after }).await? {
            Reply::Peers { peers, more } => (peers, more),
            reply => return Err(unexpected(&reply)),
        };
        for peer in &peers {
            if output.json {
                output.object(&Blocked { name: peer.name.as_str(), fingerprint: &peer.fingerprint })?;
            } else {
                output.line(&render::blocked(peer))?;
            }
        }
        after = peers.last().map(|last| last.key);
        if !more || after.is_none() {
            return Ok(());
        }
    }
}
