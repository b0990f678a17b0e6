//! `send SESSION [TEXT…]`: one message, and how far it has to come.

use std::io::Read as _;
use std::time::Duration;

use anyhow::Context as _;
use proto::ids::{Pos, SessionNo};
use proto::ipc::{Call, Changes, Reply, SessionRow, SessionState};
use proto::limits::MAX_TEXT_LEN;
use proto::text::Text;

use crate::cli::{Global, SendArgs, Wait};
use crate::client::{Client, Event, unexpected};
use crate::failure::Failure;
use crate::locate;
use crate::repl::mid;

pub(super) async fn run(global: &Global, args: SendArgs) -> Result<(), Failure> {
    let text = text(&args)?;
    let mut client = locate::connect(global).await?;
    let send = async {
        let call = Call::Send { session: args.session.clone(), mid: mid::fresh(), text, draft: None };
        match client.call(call).await? {
            Reply::Sent { session, pos, .. } => arrived(&mut client, session, pos, args.wait).await,
            reply => Err(unexpected(&reply)),
        }
    };
    match args.timeout {
        None => send.await,
        Some(seconds) => match tokio::time::timeout(Duration::from_secs(seconds), send).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::TimedOut(format!(
                "not {} within {seconds} seconds; the daemon keeps the message and goes on trying",
                word(args.wait)
            ))),
        },
    }
}

fn word(wait: Wait) -> &'static str {
    match wait {
        Wait::Queued => "queued",
        Wait::Sent => "sent",
        Wait::Delivered => "delivered",
    }
}

/// The words of the command line, or standard input as one message without its last line end.
fn text(args: &SendArgs) -> Result<Text, Failure> {
    let text = if args.text.is_empty() { standard_input()? } else { args.text.join(" ") };
    Text::new(text).map_err(|error| Failure::Failed(format!("unable to send: {error}")))
}

fn standard_input() -> Result<String, Failure> {
    // Enough to see that it is too long, and its line end, and no more: who pipes a disk must not fill the memory.
    let bound = MAX_TEXT_LEN as u64 + 3;
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(bound).read_to_end(&mut bytes).context("unable to read standard input")?;
    let mut text = String::from_utf8(bytes).map_err(|_| {
        Failure::Failed(
            "unable to send: standard input is not UTF-8 text, or too long to be a message".into(),
        )
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Waits until the message at `pos` among one's own has come as far as `wait` says.
async fn arrived(client: &mut Client, session: SessionNo, pos: Pos, wait: Wait) -> Result<(), Failure> {
    if wait == Wait::Queued {
        return Ok(());
    }
    match client.call(Call::Watch).await? {
        Reply::Done => {}
        reply => return Err(unexpected(&reply)),
    }
    loop {
        match client.next().await? {
            Event::Changed(changes) => {
                if let Some(outcome) = judge(&changes, session, pos, wait) {
                    return outcome;
                }
            }
            Event::Goodbye { .. } => return Err(gone(wait)),
            Event::Reply(..) => {}
        }
    }
}

fn gone(wait: Wait) -> Failure {
    let what = word(wait);
    Failure::NoDaemon(format!("the daemon stopped before the message was {what}; it keeps what is queued"))
}

/// `None` while it is undecided.
fn judge(changes: &Changes, session: SessionNo, pos: Pos, wait: Wait) -> Option<Result<(), Failure>> {
    let ended = || {
        let what = word(wait);
        Err(Failure::Failed(format!("the session has ended before the message was {what}")))
    };
    match changes.sessions.iter().find(|row| row.session == session) {
        Some(row) if reached(row, wait) >= pos => Some(Ok(())),
        Some(row) if row.state == SessionState::Ended => Some(ended()),
        None if changes.closed.contains(&session) => Some(ended()),
        _ => None,
    }
}

fn reached(row: &SessionRow, wait: Wait) -> Pos {
    match wait {
        // The lobby has no single reader on whose disk a message could be.
        Wait::Delivered if row.peer.is_some() => row.delivered,
        _ => row.sent,
    }
}

#[cfg(test)]
mod tests {
    use proto::ipc::Mode;

    use super::*;
    use crate::repl::testing::{lobby_row, peer_row};

    fn judged(row: SessionRow, wait: Wait) -> Option<bool> {
        let session = row.session;
        let changes = Changes { daemon: None, sessions: vec![row], closed: Vec::new() };
        judge(&changes, session, Pos(2), wait).map(|outcome| outcome.is_ok())
    }

    #[test]
    fn delivered_means_the_peers_disk_and_in_the_lobby_its_log() {
        let mut row = peer_row(1, "bobby", Mode::A);
        row.sent = Pos(2);
        row.delivered = Pos(1);
        assert_eq!(judged(row.clone(), Wait::Delivered), None);
        assert_eq!(judged(row.clone(), Wait::Sent), Some(true));
        row.delivered = Pos(2);
        assert_eq!(judged(row, Wait::Delivered), Some(true));
        let mut lobby = lobby_row();
        lobby.sent = Pos(2);
        assert_eq!(judged(lobby, Wait::Delivered), Some(true));
    }

    #[test]
    fn a_session_that_ends_first_is_a_failure() {
        let mut row = peer_row(1, "bobby", Mode::A);
        row.state = SessionState::Ended;
        assert_eq!(judged(row, Wait::Delivered), Some(false));
    }
}
