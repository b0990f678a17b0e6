//! `blocks`: whom the person has blocked.

use proto::ipc::Call;
use serde::Serialize;

use crate::cli::Global;
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
    for peer in client.people(|after| Call::Blocks { after }).await? {
        if output.json {
            output.object(&Blocked { name: peer.name.as_str(), fingerprint: &peer.fingerprint })?;
        } else {
            output.line(&render::blocked(&peer))?;
        }
    }
    Ok(())
}
