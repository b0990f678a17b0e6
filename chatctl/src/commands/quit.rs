//! `quit`: signs off and stops the daemon.

use proto::ipc::{Call, Reply};

use crate::cli::Global;
use crate::client::{Event, unexpected};
use crate::failure::Failure;
use crate::locate;

pub(super) async fn run(global: &Global) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    match client.call(Call::Quit).await? {
        Reply::Done => {}
        reply => return Err(unexpected(&reply)),
    }
    // A script that goes on finds the daemon gone: wait for the goodbye, or for the end of the link.
    while let Ok(event) = client.next().await {
        if matches!(event, Event::Goodbye { .. }) {
            break;
        }
    }
    Ok(())
}
