//! What a person is told that is no entry of a log: the lobby, a peer who is away, something unread.

use proto::display;
use proto::ipc::{DaemonRow, LobbyState, SessionRow, SessionState};
use proto::name::Name;

use super::step::Step;
use crate::render::Style;

/// What was told of the lobby.
#[derive(Debug, Default)]
pub(super) struct Lobby {
    /// The name under which the person was told to be registered.
    registered: Option<Name>,
    /// It was told that the lobby is away.
    away: bool,
    /// It was told that another lobby answers.
    strange: bool,
}

impl Lobby {
    /// The daemon's row has changed.
    pub(super) fn changed(&mut self, daemon: &DaemonRow, style: Style, steps: &mut Vec<Step>) {
        let mut tell = |text: String| steps.push(Step::Print(style.notice(&text)));
        match (daemon.lobby.state, &daemon.lobby.trouble) {
            (LobbyState::Connected, _) => {
                if self.registered.as_ref() != Some(&daemon.name) {
                    tell(format!("Registered as name: {}, switch id is 0", daemon.name));
                    if daemon.name != daemon.wished {
                        tell(format!("The name {} is taken here, you are {}", daemon.wished, daemon.name));
                    }
                    self.registered = Some(daemon.name.clone());
                } else if self.away {
                    tell("The lobby is back".to_owned());
                }
                self.away = false;
                self.strange = false;
            }
            (LobbyState::Changed, Some(why)) if !self.strange => {
                tell(format!("WARNING: {}; private sessions go on", display::line(why)));
                self.away = true;
                self.strange = true;
            }
            (LobbyState::Reconnecting, Some(why)) if !self.away => {
                let (addr, why) = (display::line(&daemon.lobby.addr), display::line(why));
                tell(match self.registered {
                    None => {
                        format!("lobby {addr} is not reachable ({why}), trying again; private sessions go on")
                    }
                    Some(_) => format!("The lobby is away, lines are queued ({why}); private sessions go on"),
                });
                self.away = true;
            }
            // Still at its first try: soon there is more to tell.
            (LobbyState::Reconnecting | LobbyState::Changed, _) => {}
        }
    }
}

/// The private sessions there are when a terminal attaches; `None` where there is none.
pub(super) fn summary<'a>(rows: impl Iterator<Item = &'a SessionRow>, style: Style) -> Option<String> {
    let wanted = rows.filter(|row| row.state != SessionState::Ended || row.unread > 0);
    let list: Vec<String> = wanted.filter_map(item).collect();
    let text = format!("Sessions: {}; to switch: \\sw NUMBER", list.join(", "));
    (!list.is_empty()).then(|| style.notice(&text))
}

fn item(row: &SessionRow) -> Option<String> {
    let peer = &row.peer.as_ref()?.name;
    Some(match row.unread {
        0 => format!("{} {peer}", row.session),
        unread => format!("{} {peer} ({unread} unread)", row.session),
    })
}

/// Somebody wrote in a session that is not active.
pub(super) fn unread(row: &SessionRow, style: Style) -> String {
    let number = row.session;
    style.notice(&format!("{} wrote in session {number}, to read: \\sw {number}", peer(row)))
}

/// The peer cannot be reached.
pub(super) fn away(row: &SessionRow, style: Style) -> String {
    let why = row.trouble.as_ref().map_or(String::new(), |why| format!(" ({})", display::line(why)));
    style.notice(&format!("{} is away, lines are queued{why}", peer(row)))
}

/// The peer is there again.
pub(super) fn back(row: &SessionRow, style: Style) -> String {
    style.notice(&format!("{} is back", peer(row)))
}

fn peer(row: &SessionRow) -> &str {
    row.peer.as_ref().map_or("the lobby", |peer| peer.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repl::testing::daemon_row;

    #[test]
    fn a_lobby_with_another_key_is_told_once_even_after_it_was_away() {
        let mut daemon = daemon_row("anna");
        let mut lobby = Lobby::default();
        let mut told = |state, trouble: Option<&str>| {
            daemon.lobby.state = state;
            daemon.lobby.trouble = trouble.map(str::to_owned);
            let mut steps = Vec::new();
            lobby.changed(&daemon, Style::plain(), &mut steps);
            steps
        };
        assert_eq!(told(LobbyState::Reconnecting, Some("no answer")).len(), 1);
        let warned = told(LobbyState::Changed, Some("the key of the lobby HAS CHANGED.\n>>> User x joined"));
        let [Step::Print(line)] = &warned[..] else { panic!("{warned:?}") };
        assert!(line.starts_with(">>> WARNING: the key of the lobby HAS CHANGED.\\n"), "{line}");
        assert_eq!(told(LobbyState::Changed, Some("again")), []);
        assert_eq!(told(LobbyState::Connected, None).len(), 1);
        assert_eq!(told(LobbyState::Changed, Some("again")).len(), 1);
    }
}
