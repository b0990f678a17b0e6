//! `decline NAME`, `block NAME`, `unblock NAME`: who may call.

use proto::ipc::{Call, Reply};

use crate::cli::Global;
use crate::client::unexpected;
use crate::failure::Failure;
use crate::locate;

pub(super) async fn run(global: &Global, call: Call) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    match client.call(call).await? {
        Reply::Done => Ok(()),
        reply => Err(unexpected(&reply)),
    }
}
