//! `fork NAME`: opens a private session. `accept NAME`: takes part in one that a stranger has opened.

use proto::ipc::{Call, Reply};
use proto::name::Name;
use serde::Serialize;

use crate::cli::Global;
use crate::client::unexpected;
use crate::failure::Failure;
use crate::locate;
use crate::output::Output;

#[derive(Serialize)]
struct Forked<'a> {
    session: u32,
    peer: &'a str,
}

#[derive(Serialize)]
struct Coming<'a> {
    session: Option<u32>,
    peer: &'a str,
}

pub(super) async fn run(global: &Global, name: Name) -> Result<(), Failure> {
    open(global, &name, Call::Fork { name: name.clone() }).await
}

pub(super) async fn accept(global: &Global, name: Name) -> Result<(), Failure> {
    open(global, &name, Call::Accept { name: name.clone() }).await
}

async fn open(global: &Global, name: &Name, call: Call) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    let output = Output::new(global);
    match client.call(call).await? {
        Reply::Forked { session } if output.json => {
            output.object(&Forked { session: session.0, peer: name.as_str() })
        }
        Reply::Forked { session } => output.line(&session.to_string()),
        // Accepted, and slow to come: there is no number yet.
        Reply::Done if output.json => output.object(&Coming { session: None, peer: name.as_str() }),
        Reply::Done => Ok(()),
        reply => Err(unexpected(&reply)),
    }
}
