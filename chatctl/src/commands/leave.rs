//! `leave SESSION`: ends a private session for both sides.

use proto::ipc::{Call, Reply, SessionRef};

use crate::cli::Global;
use crate::client::unexpected;
use crate::failure::Failure;
use crate::locate;

pub(super) async fn run(global: &Global, session: SessionRef) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    match client.call(Call::Leave { session }).await? {
        Reply::Done => Ok(()),
        reply => Err(unexpected(&reply)),
    }
}
