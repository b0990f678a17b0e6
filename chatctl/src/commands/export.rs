//! `export [SESSION…]`: history as JSON lines, for `import` and for other programs.

use proto::archive::{FORMAT, Head, VERSION};
use proto::ids::{Seq, SessionNo};
use proto::ipc::{Call, Reply, SessionRef};

use crate::cli::Global;
use crate::client::{Client, unexpected};
use crate::failure::Failure;
use crate::locate;
use crate::output::Output;

pub(super) async fn run(global: &Global, sessions: Vec<SessionRef>) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    let output = Output::new(global);
    let daemon = client.state().await?.daemon;
    let daemon = daemon.ok_or_else(|| Failure::Failed("the daemon said nothing about itself".into()))?;
    let head = Head { format: FORMAT.to_owned(), version: VERSION, name: daemon.name, key: daemon.key };
    let sessions = if sessions.is_empty() { all(&mut client).await? } else { sessions };
    // Before the first line: whoever named a session that is not there gets no half of a file.
    for session in &sessions {
        page(&mut client, session, Seq::END).await?;
    }
    output.object(&head)?;
    for session in &sessions {
        let mut after = Seq::START;
        loop {
            let records = page(&mut client, session, after).await?;
            let Some(last) = records.last() else { break };
            after = last.seq;
            records.iter().try_for_each(|record| output.object(record))?;
        }
    }
    Ok(())
}

/// The lobby and every private session, ended ones too.
async fn all(client: &mut Client) -> Result<Vec<SessionRef>, Failure> {
    let peers = client.people(|after| Call::Peers { after }).await?;
    let lobby = SessionRef::Number(SessionNo::LOBBY);
    Ok([lobby].into_iter().chain(peers.iter().map(|peer| SessionRef::Key(peer.key))).collect())
}

async fn page(
    client: &mut Client,
    session: &SessionRef,
    after: Seq,
) -> Result<Vec<proto::archive::Record>, Failure> {
    match client.call(Call::Export { session: session.clone(), after }).await? {
        Reply::Records { records } => Ok(records),
        reply => Err(unexpected(&reply)),
    }
}
