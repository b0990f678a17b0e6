//! The command line of `chatd`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Parser;
use proto::name::Name;

use crate::daemon::Accept;
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

    /// The lobby to join; without one, this machine's own is joined, and hosted where nobody hosts it
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port)]
    pub lobby: Option<String>,

    /// Where this machine's own lobby is
    #[arg(long, value_name = "ADDR:PORT", default_value_t = BUILT_IN, conflicts_with = "lobby")]
    pub local_lobby: SocketAddr,

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

impl Cli {
    /// Which lobby is meant.
    pub fn target(&self) -> Target {
        match &self.lobby {
            Some(lobby) => Target::Named(lobby.clone()),
            None => Target::BuiltIn(self.local_lobby),
        }
    }
}

fn host_port(text: &str) -> Result<String, String> {
    let port =
        text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(port)) if port > 0 => Ok(text.to_owned()),
        _ => Err("a lobby is named as HOST:PORT, like chat.example.org:43210".to_owned()),
    }
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
    fn addresses_are_checked_where_they_enter() {
        assert!(host_port("chat.example.org:43210").is_ok());
        assert!(host_port("chat.example.org").is_err());
        assert!(host_port(":43210").is_err());
        assert_eq!(listen_addr("192.0.2.7"), Ok("192.0.2.7:0".parse().expect("address")));
        assert!(listen_addr("here").is_err());
    }
}
