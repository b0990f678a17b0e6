//! `quit`: signs off and stops the daemon.

use proto::ipc::{Call, Reply};

use crate::cli::Global;
use crate::client::{Event, unexpected};
use crate::failure::Failure;
use crate::locate;

pub(super) async fn run(global: &Global) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    match client.call(Call::Quit).await {
        Ok(Reply::Done) => {}
        // A daemon that has nothing left to do may be gone before its answer.
        Err(_) if client.is_signed_off() => return Ok(()),
        Ok(reply) => return Err(unexpected(&reply)),
        Err(failure) => return Err(failure),
    }
    // A script that goes on finds the daemon gone: wait for the goodbye, or for the end of the link.
    while let Ok(event) = client.next().await {
        if matches!(event, Event::Goodbye { .. }) {
            break;
        }
    }
    Ok(())
}
