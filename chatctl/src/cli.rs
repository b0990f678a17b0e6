//! The command line. The doc comments are the help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use proto::ids::{Seq, SessionNo};
use proto::invitation::{Invitation, InvitationError};
use proto::ipc::SessionRef;
use proto::name::Name;

/// Chat from this terminal: attach to your running chat daemon, or ask it one thing.
#[derive(Debug, Parser)]
#[command(name = "chatctl", version)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Your chat name, which is the daemon's name; needed only where several daemons run
    #[arg(long, global = true, env = "CHAT_NAME", value_name = "NAME")]
    pub name: Option<Name>,
    /// One JSON object a line
    #[arg(long, global = true)]
    pub json: bool,
    /// Bare lines: no colours, no time stamps, no cursor motion
    #[arg(long, global = true)]
    pub plain: bool,
    /// When to use colours; the variable `NO_COLOR` is obeyed
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Where the daemons keep keys and history
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where the daemons listen for clients
    #[arg(long, global = true, value_name = "DIR")]
    pub runtime_dir: Option<PathBuf>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How far a message has to come before `send` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// On the daemon's disk
    Queued,
    /// On its way (lobby: in the lobby's log)
    Sent,
    /// On the peer's disk; in the lobby the same as sent
    Delivered,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Opens the prompt; starts the daemon where none runs
    Attach {
        /// Session to begin with: a number, `lobby`, or a peer's name
        #[arg(value_parser = session)]
        session: Option<SessionRef>,
    },
    /// Takes an invitation to a lobby and starts the daemon in it
    Join {
        /// The line that begins with chat://; without it, it is read from standard input
        #[arg(value_name = "LINE", value_parser = line)]
        invitation: Option<Result<Invitation, InvitationError>>,
    },
    /// Lists the open sessions
    Sessions {
        /// Those that have ended, too
        #[arg(long)]
        all: bool,
    },
    /// Lists who is in the lobby
    Users,
    /// Opens a private session and prints its number
    Fork {
        /// With whom
        // Its own id: under `name` it would also be the global option.
        #[arg(id = "peer", value_name = "NAME")]
        name: Name,
    },
    /// Sends one message
    Send(SendArgs),
    /// Prints older lines, oldest first
    History {
        /// A number, `lobby`, or a peer's name
        #[arg(value_parser = session)]
        session: SessionRef,
        /// At most so many [default: the last 50, or all where --after is given]
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Only lines after this one
        #[arg(long, value_name = "SEQ", value_parser = seq)]
        after: Option<Seq>,
    },
    /// Finds messages that hold all the words, newest first
    Search {
        /// Case does not count
        #[arg(required = true)]
        words: Vec<String>,
    },
    /// Prints new lines as they come
    Tail {
        /// Only these sessions [default: all]
        #[arg(value_parser = session)]
        sessions: Vec<SessionRef>,
        /// Goes on where the reader of this name has stopped; the daemon keeps the place
        #[arg(long, value_name = "ID", value_parser = cursor_id)]
        cursor: Option<String>,
    },
    /// Ends a private session for both sides
    Leave {
        /// A number, or a peer's name
        #[arg(value_parser = session)]
        session: SessionRef,
    },
    /// Says yes to a stranger who wants to talk with you, and prints the number of the session
    Accept {
        /// Who
        #[arg(id = "peer", value_name = "NAME")]
        name: Name,
    },
    /// Says no to a stranger, who may ask again
    Decline {
        /// Who
        #[arg(id = "peer", value_name = "NAME")]
        name: Name,
    },
    /// Ends what there is with somebody, who may not call again
    Block {
        /// Who
        #[arg(id = "peer", value_name = "NAME")]
        name: Name,
    },
    /// Lets somebody call again
    Unblock {
        /// Who
        #[arg(id = "peer", value_name = "NAME")]
        name: Name,
    },
    /// Lists whom you have blocked
    Blocks,
    /// Drops the key that a name stands for, and the history with its owner
    Forget {
        /// Who; the session with them must have ended
        #[arg(id = "peer", value_name = "NAME")]
        name: Name,
        /// Do not ask whether it is meant
        #[arg(long)]
        yes: bool,
    },
    /// Writes history as JSON lines, for `import`
    Export {
        /// Only these sessions [default: all, ended ones too]
        #[arg(value_parser = session)]
        sessions: Vec<SessionRef>,
    },
    /// Reads history that `export` has written; nothing comes twice, nothing is sent
    Import {
        /// The file; without it, or with -, standard input
        file: Option<PathBuf>,
    },
    /// Shows the code to compare with somebody: both of you see the same digits
    Verify {
        /// With whom
        #[arg(id = "peer", value_name = "NAME")]
        name: Name,
        /// You have compared it, and it is the same
        #[arg(long)]
        ok: bool,
    },
    /// Accepts the new key of somebody you know, or of the lobby, after a warning
    Trust {
        /// A name, the number of a session, or `lobby`
        #[arg(value_parser = session, value_name = "NAME")]
        who: SessionRef,
    },
    /// Says how the daemon and its lobby are
    Status,
    /// Signs off: ends the private sessions, leaves the lobby, stops the daemon
    Quit,
    /// Prints a completion script
    Completions {
        /// For which shell
        shell: Shell,
    },
}

/// Arguments of `send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    /// A number, `lobby`, or a peer's name
    #[arg(value_parser = session)]
    pub session: SessionRef,
    /// The message; without it standard input is one message
    pub text: Vec<String>,
    /// Return once the message is
    #[arg(long, value_name = "STATE", default_value = "queued")]
    pub wait: Wait,
    /// Wait no longer than so many seconds (the message stays queued)
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub timeout: Option<u64>,
}

/// Reads what names a session: a number, `lobby`, or a peer's name.
pub fn session(text: &str) -> Result<SessionRef, String> {
    if text.eq_ignore_ascii_case("lobby") {
        return Ok(SessionRef::Number(SessionNo::LOBBY));
    }
    if let Ok(number) = text.parse() {
        return Ok(SessionRef::Number(SessionNo(number)));
    }
    let name = Name::new(text);
    name.map(SessionRef::Peer).map_err(|error| format!("neither a number nor 'lobby' nor a name: {error}"))
}

/// Never fails: the message about it would quote the line, which is a secret but for a slip.
#[expect(clippy::unnecessary_wraps, reason = "the form of such a function")]
fn line(text: &str) -> Result<Result<Invitation, InvitationError>, String> {
    Ok(text.parse())
}

fn seq(text: &str) -> Result<Seq, String> {
    text.parse().map(Seq).map_err(|_| "a position is a number, as `history --json` shows it".into())
}

fn cursor_id(text: &str) -> Result<String, String> {
    match text.len() {
        1..=64 => Ok(text.to_owned()),
        len => Err(format!("a cursor's name has 1 to 64 bytes, this one has {len}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_session_is_a_number_the_lobby_or_a_name() {
        assert_eq!(session("3"), Ok(SessionRef::Number(SessionNo(3))));
        assert_eq!(session("Lobby"), Ok(SessionRef::Number(SessionNo::LOBBY)));
        assert_eq!(session("bobby"), Ok(SessionRef::Peer(Name::new("bobby").expect("name"))));
        assert!(session("-1").is_err());
        assert!(session("99999999999").is_err());
    }

    #[test]
    fn global_options_may_stand_after_the_command() {
        let cli = Cli::parse_from(["chatctl", "sessions", "--json", "--name", "anna"]);
        assert!(cli.global.json);
        assert_eq!(cli.global.name, Some(Name::new("anna").expect("name")));
    }

    #[test]
    fn regression_the_peer_of_a_fork_is_not_the_name_of_the_daemon() {
        let cli = Cli::parse_from(["chatctl", "--name", "anna", "fork", "bobby"]);
        assert_eq!(cli.global.name, Some(Name::new("anna").expect("name")));
        assert!(matches!(cli.command, Command::Fork { name } if name.as_str() == "bobby"));
    }

    #[test]
    fn send_waits_for_queued_by_default() {
        let cli = Cli::parse_from(["chatctl", "send", "1", "hello", "you"]);
        let Command::Send(send) = cli.command else { panic!("not send") };
        assert_eq!((send.wait, send.text.join(" ").as_str()), (Wait::Queued, "hello you"));
    }
}
