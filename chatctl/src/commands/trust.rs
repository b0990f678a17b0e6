//! `trust NAME`: accepts the new key of somebody who is known, or of the lobby.

use proto::ipc::{Call, Reply, SessionRef};
use proto::name::Name;
use serde::Serialize;

use crate::cli::Global;
use crate::client::unexpected;
use crate::failure::Failure;
use crate::output::Output;
use crate::{locate, render};

#[derive(Serialize)]
struct Trusted<'a> {
    fingerprint: &'a str,
    former: Option<&'a str>,
}

pub(super) async fn run(global: &Global, who: SessionRef) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    let output = Output::new(global);
    match client.call(Call::Trust { who }).await? {
        Reply::Trusted { fingerprint, former } if output.json => {
            output.object(&Trusted { fingerprint: &fingerprint, former: former.as_ref().map(Name::as_str) })
        }
        Reply::Trusted { fingerprint, former } => {
            output.line(&render::trusted(&fingerprint, former.as_ref()))
        }
        reply => Err(unexpected(&reply)),
    }
}
