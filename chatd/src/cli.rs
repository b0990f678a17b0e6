//! The command line of `chatd`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Parser;
use proto::invitation::{Invitation, InvitationError, is_host_port};
use proto::name::Name;

use crate::daemon::Accept;
use crate::joined::Joined;
use crate::uplink::{BUILT_IN, Target};

/// Keeps your place in the lobby and your private sessions while no terminal is open.
///
/// One chatd runs for each name. Talk through it with chatctl.
#[derive(Debug, Clone, Parser)]
#[command(name = "chatd", version)]
pub struct Cli {
    /// The name you go by: letters and digits of any script, up to 32
    #[arg(long, env = "CHAT_NAME", value_name = "NAME")]
    pub name: Name,

    /// The lobby to join [default: the last one joined by an invitation, else this machine's own]
    ///
    /// HOST:PORT, or an invitation (`chat://…`): that is remembered, and its secret leaves the command line at once.
    /// `-` reads an invitation from standard input, `local` goes back to this machine's own lobby, which the daemon
    /// hosts where nobody does.
    #[arg(long, value_name = "LOBBY", value_parser = lobby)]
    pub lobby: Option<LobbyArg>,

    /// Where this machine's own lobby is [default: 127.0.0.1:43210]
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "lobby", value_parser = own_lobby)]
    pub local_lobby: Option<SocketAddr>,

    /// Address at which peers reach you [default: this machine only where the lobby is local, else every address]
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = listen_addr)]
    pub listen: Option<SocketAddr>,

    /// Who may open a session with you; people you know always may [default: anyone where the lobby is local, else ask]
    #[arg(long, value_name = "WHO")]
    pub accept: Option<Accept>,

    /// Folder for keys, history and logs [default: as the platform has it]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Folder for the local socket [default: as the platform has it]
    #[arg(long, value_name = "DIR")]
    pub runtime_dir: Option<PathBuf>,

    /// Go to the background once everything runs
    #[arg(long)]
    pub detach: bool,

    /// Say more on standard error: -v what happens, -vv everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Set by --detach on the process that it leaves behind
    #[arg(long, hide = true)]
    pub background: bool,
}

/// How the command line names a lobby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LobbyArg {
    /// `host:port`.
    Named(String),
    /// By an invitation.
    Invited(Box<Invitation>),
    /// By an invitation that is not whole. It is told later: the message about it here would quote the secret.
    Broken(InvitationError),
    /// By an invitation on standard input.
    Input,
    /// This machine's own.
    Own,
}

impl LobbyArg {
    /// It is kept first, and the program then runs without it.
    pub fn is_settled_first(&self) -> bool {
        !matches!(self, Self::Named(_))
    }
}

impl Cli {
    /// Which lobby is meant, given the one that was joined before, and what is known of it.
    pub fn target(&self, joined: Option<Joined>) -> (Target, Option<Joined>) {
        match (&self.lobby, self.local_lobby) {
            (Some(LobbyArg::Named(addr)), _) => {
                (Target::Named(addr.clone()), joined.filter(|joined| joined.addr == *addr))
            }
            (None, None) if joined.is_some() => {
                let addr = joined.as_ref().map(|joined| joined.addr.clone()).unwrap_or_default();
                (Target::Named(addr), joined)
            }
            (_, own) => (Target::BuiltIn(own.unwrap_or(BUILT_IN)), None),
        }
    }
}

fn lobby(text: &str) -> Result<LobbyArg, String> {
    match text {
        "-" => Ok(LobbyArg::Input),
        "local" => Ok(LobbyArg::Own),
        text if text.starts_with("chat:") => {
            let invitation = text.parse::<Invitation>();
            Ok(invitation.map_or_else(LobbyArg::Broken, |invitation| LobbyArg::Invited(Box::new(invitation))))
        }
        text if is_host_port(text) => Ok(LobbyArg::Named(text.to_owned())),
        _ => {
            Err("a lobby is named as HOST:PORT, like chat.example.org:43210, or by an invitation".to_owned())
        }
    }
}

/// A lobby that a daemon hosts lets in whoever reaches it: nobody elsewhere may.
fn own_lobby(text: &str) -> Result<SocketAddr, String> {
    let addr = text.parse::<SocketAddr>().map_err(|_| "an address is like 127.0.0.1:43210".to_owned())?;
    let other =
        "other machines could reach that: run lobbyd for a lobby with several, it asks for invitations";
    addr.ip().is_loopback().then_some(addr).ok_or(other.to_owned())
}

fn listen_addr(text: &str) -> Result<SocketAddr, String> {
    let addr =
        text.parse::<SocketAddr>().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0)));
    addr.map_err(|_| "an address is like 192.0.2.7, 192.0.2.7:5000 or [2001:db8::7]:5000".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_lobby_is_the_one_named_then_the_one_joined_then_the_machines_own() {
        let cli = |args: &[&str]| Cli::parse_from([&["chatd", "--name", "anna"], args].concat());
        let joined = Joined { addr: "h:1".into(), lobby: proto::ids::Key([1; 32]), token: None };
        let target = |args: &[&str]| cli(args).target(Some(joined.clone()));
        assert_eq!(target(&[]), (Target::Named("h:1".into()), Some(joined.clone())));
        assert_eq!(target(&["--lobby", "h:1"]), (Target::Named("h:1".into()), Some(joined.clone())));
        assert_eq!(target(&["--lobby", "h:2"]), (Target::Named("h:2".into()), None));
        let own = "127.0.0.1:7".parse().expect("address");
        assert_eq!(target(&["--local-lobby", "127.0.0.1:7"]), (Target::BuiltIn(own), None));
        assert_eq!(cli(&[]).target(None), (Target::BuiltIn(BUILT_IN), None));
    }

    #[test]
    fn addresses_are_checked_where_they_enter() {
        assert!(lobby("chat.example.org:43210").is_ok());
        assert!(lobby("chat.example.org").is_err());
        assert!(lobby(":43210").is_err());
        assert_eq!(lobby("-"), Ok(LobbyArg::Input));
        assert_eq!(lobby("chat://h:1/#cut"), Ok(LobbyArg::Broken(InvitationError::Secret)));
        assert_eq!(listen_addr("192.0.2.7"), Ok("192.0.2.7:0".parse().expect("address")));
        assert!(listen_addr("here").is_err());
        assert!(own_lobby("[::1]:5").is_ok());
        assert!(own_lobby("0.0.0.0:43210").expect_err("open to others").contains("lobbyd"));
    }
}
