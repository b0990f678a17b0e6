//! Entries and rows as lines for a person. Every text from outside passes [`proto::display`] here.
//!
//! The forms are a contract: a colour or a time stamp may stand before or behind a form, never inside.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anstyle::{AnsiColor, Color, Effects, Style as Paint};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proto::display;
use proto::ids::{SessionNo, WallMs};
use proto::ipc::{
    Entry, EntryKind, Hit, LobbyState, Mode, Path, Peer, SessionRow, SessionState, Trust, UserRow,
};
use proto::name::Name;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Colours may be used.
    pub color: bool,
    /// Messages carry the time.
    pub times: bool,
    /// Columns of the screen, where there is one.
    pub width: Option<usize>,
}

/// Colours of authors: readable on dark and on light, none that stands for an error.
const PALETTE: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::BrightBlue,
];

impl Style {
    /// The bare forms.
    pub fn plain() -> Self {
        Self { color: false, times: false, width: None }
    }

    /// `>>> text`
    pub fn notice(self, text: &str) -> String {
        self.dim(display::message(">>> ", text, self.width))
    }

    /// `< text >`
    fn event(self, text: &str) -> String {
        self.dim(format!("< {text} >"))
    }

    fn dim(self, text: String) -> String {
        let paint = Paint::new().effects(Effects::DIMMED);
        if self.color { format!("{paint}{text}{paint:#}") } else { text }
    }

    /// A message behind its head, with the time before it in the author's colour.
    fn said(self, head: &str, from: Option<&Name>, at: WallMs, text: &str) -> String {
        if !self.times {
            return display::message(head, text, self.width);
        }
        let clock = clock(at);
        let line = display::message(&format!("{clock} {head}"), text, self.width);
        match line.strip_prefix(&clock) {
            Some(rest) if self.color => {
                let paint = paint_of(from);
                format!("{paint}{clock}{paint:#}{rest}")
            }
            _ => line,
        }
    }
}

/// The same person has the same colour everywhere.
fn paint_of(name: Option<&Name>) -> Paint {
    let mut hasher = DefaultHasher::new();
    name.map(Name::folded).hash(&mut hasher);
    let count = u64::try_from(PALETTE.len()).unwrap_or(1);
    let index = usize::try_from(hasher.finish() % count).unwrap_or(0);
    Paint::new().fg_color(PALETTE.get(index).copied().map(Color::Ansi))
}

/// Hour and minute here. Five columns, whatever the clock of the author says.
fn clock(at: WallMs) -> String {
    let time = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    match time {
        Some(time) => time.to_zoned(TimeZone::system()).strftime("%H:%M").to_string(),
        None => "--:--".to_owned(),
    }
}

/// What the lines of one session need to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its number.
    pub session: SessionNo,
    /// Who opened it; `None` for the lobby.
    pub mode: Option<Mode>,
    /// With whom; `None` for the lobby.
    pub peer: Option<Name>,
}

impl View {
    /// Of a row.
    pub fn of(row: &SessionRow) -> Self {
        Self { session: row.session, mode: row.mode, peer: row.peer.as_ref().map(|peer| peer.name.clone()) }
    }

    /// The peer's name, or `lobby`.
    pub fn title(&self) -> &str {
        self.peer.as_ref().map_or("lobby", Name::as_str)
    }

    /// An entry as `history` and `tail` show it.
    pub fn entry(&self, entry: &Entry, style: Style) -> String {
        let who = entry.from.as_ref().map_or("?", Name::as_str);
        match entry.kind {
            EntryKind::Text => self.said(entry, style),
            EntryKind::Joined => style.notice(&format!("User {who} joined{}", joined_note(&entry.text))),
            EntryKind::Left => style.notice(&format!("User {who} has left")),
            EntryKind::Notice => style.notice(&entry.text),
            EntryKind::Opened => self.ready(style),
            EntryKind::Closed => self.terminated(entry.mine, style),
        }
    }

    fn said(&self, entry: &Entry, style: Style) -> String {
        let who = entry.from.as_ref().map_or("?", Name::as_str);
        let head = match self.mode {
            Some(mode) => format!("{} <{who}> ", mode.mark()),
            None => format!("> {who}: "),
        };
        style.said(&head, entry.from.as_ref(), entry.at, &entry.text)
    }

    /// The session is open: who opened it decides what a person has to know.
    pub fn ready(&self, style: Style) -> String {
        let peer = self.title();
        style.event(&match self.mode {
            Some(Mode::B) => {
                format!("Peer {peer} is ready to chat, to chat with: \\sw {}, for lobby: \\lob", self.session)
            }
            _ => format!("Peer {peer} is ready to chat"),
        })
    }

    /// The session has ended; `mine` tells whether this side left.
    pub fn terminated(&self, mine: bool, style: Style) -> String {
        let peer = self.title();
        style.event(&if mine {
            format!("Session terminated, you have left {peer}")
        } else {
            format!("Session terminated, Peer {peer} has left")
        })
    }
}

/// Heads the list of sessions.
pub const SESSIONS_HEAD: &str = "< Active Sessions (type \\sw (session id) to switch over) >";

/// One session in the list; `star` marks the one that the person is in.
pub fn session_row(row: &SessionRow, active: Option<SessionNo>) -> String {
    let star = if active == Some(row.session) { '*' } else { ' ' };
    let what = match &row.peer {
        None => "broadcast chat in main lobby".to_owned(),
        Some(peer) => format!("peer chat --> {}", peer.name),
    };
    let notes = session_notes(row);
    let tail = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    format!("{star}{}, {what}{tail}", row.session)
}

fn session_notes(row: &SessionRow) -> Vec<String> {
    let mut notes = Vec::new();
    if row.unread > 0 {
        notes.push(format!("{} unread", row.unread));
    }
    if row.queued > 0 {
        notes.push(format!("{} queued", row.queued));
    }
    if row.peer.as_ref().is_some_and(|peer| peer.trust == Trust::Verified) {
        notes.push("verified".into());
    }
    match row.state {
        SessionState::Waiting if row.peer.is_none() => notes.push("reconnecting".into()),
        SessionState::Waiting => notes.push("waiting".into()),
        SessionState::Ended => notes.push("ended".into()),
        SessionState::Connected if row.path == Path::Relay => notes.push("by relay".into()),
        SessionState::Connected => {}
    }
    notes
}

/// One person in the list of users.
pub fn user_row(user: &UserRow) -> String {
    let note = match user.trust {
        _ if user.is_self => " (you)",
        Trust::Changed => " (CAUTION: not the key this name had before)",
        Trust::Verified => " (verified)",
        Trust::New => " (new)",
        Trust::Pinned => "",
    };
    format!(" {}{}{note}", user.name, lookalike_note(user))
}

/// The warning beside a name that is easily taken for another.
pub fn lookalike_note(user: &UserRow) -> String {
    user.lookalike.as_ref().map_or(String::new(), |other| looks_like(other.as_str()))
}

fn joined_note(other: &str) -> String {
    if other.is_empty() { String::new() } else { looks_like(&display::line(other)) }
}

fn looks_like(other: &str) -> String {
    format!(" (looks like {other})")
}

/// A message that was searched for, with its session.
pub fn hit(hit: &Hit, style: Style) -> String {
    let number = hit.session.map_or("-".to_owned(), |session| session.to_string());
    let title = hit.peer.as_ref().map_or("lobby", Name::as_str);
    let who = hit.entry.from.as_ref().map_or("?", Name::as_str);
    let head = format!("[{number} {title}] <{who}> ");
    style.said(&head, hit.entry.from.as_ref(), hit.entry.at, &hit.entry.text)
}

/// A stranger who waits for the person's word.
pub fn request(peer: &Peer) -> String {
    let caution = match peer.trust {
        Trust::Changed => ", CAUTION: comes under the name of somebody you know, with another key",
        Trust::New | Trust::Pinned | Trust::Verified => "",
    };
    let like = peer.lookalike.as_ref();
    let like =
        like.map_or(String::new(), |other| format!(", CAUTION: looks like {other}, who is somebody else"));
    format!("{} ({}{caution}{like})", peer.name, display::line(&peer.fingerprint))
}

/// Somebody whom the person has blocked.
pub fn blocked(peer: &Peer) -> String {
    format!(" {} ({})", peer.name, display::line(&peer.fingerprint))
}

/// A new key is accepted; `former` is who had the name before.
pub fn trusted(fingerprint: &str, former: Option<&Name>) -> String {
    let fingerprint = display::line(fingerprint);
    match former {
        Some(former) => format!("Accepted the key {fingerprint}; who had the name before is {former} here"),
        None => {
            format!("Accepted the key {fingerprint}; the daemon tries the lobby again within half a minute")
        }
    }
}

/// One word for the link to the lobby.
pub fn lobby_state(state: LobbyState) -> &'static str {
    match state {
        LobbyState::Connected => "connected",
        LobbyState::Reconnecting => "reconnecting",
        LobbyState::Changed => "changed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repl::testing::{entry, lobby_row, peer_row};

    fn view(mode: Mode) -> View {
        View::of(&peer_row(1, "bobby", mode))
    }

    #[test]
    fn the_forms_of_entries() {
        let plain = Style::plain();
        let lobby = View::of(&lobby_row());
        let cases = [
            (&lobby, EntryKind::Text, "> bobby: hi"),
            (&lobby, EntryKind::Left, ">>> User bobby has left"),
            (&lobby, EntryKind::Notice, ">>> hi"),
            (&view(Mode::A), EntryKind::Text, "P-> <bobby> hi"),
            (&view(Mode::B), EntryKind::Text, "P~> <bobby> hi"),
            (&view(Mode::A), EntryKind::Opened, "< Peer bobby is ready to chat >"),
            (
                &view(Mode::B),
                EntryKind::Opened,
                "< Peer bobby is ready to chat, to chat with: \\sw 1, for lobby: \\lob >",
            ),
            (&view(Mode::B), EntryKind::Closed, "< Session terminated, Peer bobby has left >"),
        ];
        for (view, kind, line) in cases {
            assert_eq!(view.entry(&entry(1, kind, "bobby", "hi"), plain), line);
        }
        let joined = |name, text| lobby.entry(&entry(1, EntryKind::Joined, name, text), plain);
        assert_eq!(joined("bobby", ""), ">>> User bobby joined");
        assert_eq!(joined("аnna", "anna"), ">>> User аnna joined (looks like anna)");
        assert_eq!(joined("eve", "\u{1b}\n>>> x"), ">>> User eve joined (looks like \\x1b\\n>>> x)");
        let mut left = entry(1, EntryKind::Closed, "anna", "");
        left.mine = true;
        assert_eq!(view(Mode::A).entry(&left, plain), "< Session terminated, you have left bobby >");
    }

    #[test]
    fn a_user_whose_name_looks_like_another_is_marked() {
        let (name, anna) = (Name::new("аnna").expect("name"), Name::new("anna").expect("name"));
        let mut user = UserRow {
            name,
            key: proto::ids::Key([7; 32]),
            fingerprint: String::new(),
            trust: Trust::New,
            is_self: false,
            lookalike: Some(anna),
        };
        assert_eq!(user_row(&user), " аnna (looks like anna) (new)");
        user.trust = Trust::Pinned;
        user.lookalike = None;
        assert_eq!(user_row(&user), " аnna");
    }

    #[test]
    fn a_colour_and_a_time_surround_a_form_and_never_split_it() {
        let style = Style { color: true, times: true, width: Some(80) };
        let lobby = View::of(&lobby_row());
        for (kind, form) in [(EntryKind::Text, "> bobby: hi"), (EntryKind::Joined, ">>> User bobby joined")] {
            let text = if kind == EntryKind::Text { "hi" } else { "" };
            let line = lobby.entry(&entry(1, kind, "bobby", text), style);
            assert!(line.contains(form), "{line:?}");
            assert!(line.contains('\u{1b}'), "{line:?}");
        }
    }

    #[test]
    fn text_from_outside_never_steers_the_screen() {
        let style = Style { color: false, times: true, width: Some(40) };
        let evil = "\u{1b}[2Jx\n>>> User anna has left\u{7}";
        for kind in [EntryKind::Text, EntryKind::Notice] {
            let line = View::of(&lobby_row()).entry(&entry(1, kind, "bobby", evil), style);
            assert!(!line.contains(['\u{1b}', '\u{7}']), "{line:?}");
            assert!(line.split('\n').skip(1).all(|row| row.starts_with(display::GUTTER)), "{line:?}");
        }
    }

    #[test]
    fn a_time_out_of_all_bounds_is_shown_as_none() {
        assert_eq!(clock(WallMs(u64::MAX)), "--:--");
        assert_eq!(clock(WallMs(1_700_000_000_000)).len(), 5);
    }

    #[test]
    fn the_forms_of_sessions() {
        let active = Some(SessionNo::LOBBY);
        assert_eq!(session_row(&lobby_row(), active), "*0, broadcast chat in main lobby");
        let mut row = peer_row(1, "bobby", Mode::A);
        assert_eq!(session_row(&row, active), " 1, peer chat --> bobby");
        row.unread = 3;
        row.queued = 2;
        row.state = SessionState::Waiting;
        assert_eq!(session_row(&row, active), " 1, peer chat --> bobby (3 unread, 2 queued, waiting)");
    }
}
