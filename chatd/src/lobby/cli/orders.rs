//! Orders to a lobby: carried out by the `lobbyd` that runs, or on its files where none does.

use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

use anyhow::{Context, bail};
use clap::Args;
use jiff::{Span, Zoned};
use proto::display;
use proto::ids::WallMs;
use proto::invitation::{Invitation, is_host_port};

use super::{Entry, LobbyConfig, lock};
use crate::dirs;
use crate::identity::Identity;
use crate::lobby::desk::{self, Answer, Order};
use crate::lobby::hub::{Hub, Log};
use crate::lobby::keep;

/// What `invite` takes.
#[derive(Debug, Args)]
pub(super) struct Invite {
    /// How many people it lets in; each of them stays let in
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    uses: u32,

    /// How long it may be used, like 7d or 12h; `never` ends
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = expiry)]
    expires: Expiry,

    /// How others reach this lobby [default: as lobbyd was told, or listens]
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port)]
    address: Option<String>,
}

/// How long something holds.
#[derive(Debug, Clone, Copy)]
enum Expiry {
    Never,
    After(Span),
}

fn expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" {
        return Ok(Expiry::Never);
    }
    let span = text.parse::<Span>().map_err(|_| "a time is like 7d, 12h or 30m, or never".to_owned())?;
    if span.is_negative() || span.is_zero() {
        return Err("that time is over already".to_owned());
    }
    Ok(Expiry::After(span))
}

pub(super) fn host_port(text: &str) -> Result<String, String> {
    is_host_port(text)
        .then(|| text.to_owned())
        .ok_or("a place is named like chat.example.org:43210".to_owned())
}

impl Expiry {
    fn at(self) -> anyhow::Result<Option<WallMs>> {
        let Self::After(span) = self else { return Ok(None) };
        let at = Zoned::now().checked_add(span).context("that time is too far away")?;
        Ok(Some(WallMs(u64::try_from(at.timestamp().as_millisecond())?)))
    }
}

/// Makes an invitation and prints its line.
pub(super) async fn invite(data: &Path, args: &Invite) -> anyhow::Result<()> {
    let order = Order::Invite { uses: args.uses, expires: args.expires.at()? };
    let (token, kept) = match give(data, order).await? {
        Answer::Invited { token, address } => (token, address),
        Answer::Failed { reason } => bail!(reason),
        Answer::Told { .. } => bail!("the lobby gave an answer to another order"),
    };
    let addr = match (&args.address, kept) {
        (Some(addr), _) => addr.clone(),
        (None, Some(kept)) => reachable(&kept)?,
        (None, None) => bail!("where can others reach this lobby? Say it with --address HOST:PORT"),
    };
    let lobby = Identity::load_or_create(data)?.key();
    let line = Invitation { addr, lobby, token }.line();
    writeln!(io::stdout(), "{line}").context("cannot print the invitation")
}

/// What names somebody.
#[derive(Debug, Args)]
pub(super) struct Whom {
    /// A name, a key, or a fingerprint (SHA256:…)
    whom: String,
}

/// What `ban` takes.
#[derive(Debug, Args)]
pub(super) struct Ban {
    /// A name, a key, a fingerprint (SHA256:…), or an address
    whom: String,

    /// For how long, like 7d or 12h; `never` ends
    #[arg(long = "for", value_name = "TIME", default_value = "never", value_parser = expiry)]
    time: Expiry,

    /// Also the address from which they are connected now; everybody behind the same router has it
    #[arg(long)]
    address: bool,
}

/// What `mute` takes.
#[derive(Debug, Args)]
pub(super) struct Mute {
    #[command(flatten)]
    whom: Whom,

    /// For how long, like 7d or 12h; `never` ends
    #[arg(long = "for", value_name = "TIME", default_value = "never", value_parser = expiry)]
    time: Expiry,
}

impl Whom {
    pub(super) fn kick(&self) -> Order {
        Order::Kick { whom: self.whom.clone() }
    }

    pub(super) fn unban(&self) -> Order {
        Order::Unban { whom: self.whom.clone() }
    }

    pub(super) fn unmute(&self) -> Order {
        Order::Unmute { whom: self.whom.clone() }
    }
}

impl Ban {
    pub(super) fn order(&self) -> anyhow::Result<Order> {
        Ok(Order::Ban { whom: self.whom.clone(), until: self.time.at()?, with_address: self.address })
    }
}

impl Mute {
    pub(super) fn order(&self) -> anyhow::Result<Order> {
        Ok(Order::Mute { whom: self.whom.whom.clone(), until: self.time.at()? })
    }
}

/// Gives any other order and prints what the lobby says to it.
pub(super) async fn tell(data: &Path, order: Order) -> anyhow::Result<()> {
    match give(data, order).await? {
        Answer::Told { lines } => {
            let mut out = io::stdout().lock();
            lines.iter().try_for_each(|line| writeln!(out, "{}", display::line(line))).context("cannot print")
        }
        Answer::Failed { reason } => bail!(display::line(&reason).into_owned()),
        Answer::Invited { .. } => bail!("the lobby gave an answer to another order"),
    }
}

/// A lobby that listens everywhere is reached at the address by which this machine reaches others.
fn reachable(kept: &str) -> anyhow::Result<String> {
    let Some(listening) = kept.parse::<SocketAddr>().ok().filter(|addr| addr.ip().is_unspecified()) else {
        return Ok(kept.to_owned());
    };
    let own = || {
        let socket = UdpSocket::bind((listening.ip(), 0))?;
        // Sends nothing: the system only looks which way it would go. The address is one for documentation.
        socket.connect(if listening.is_ipv4() { "192.0.2.1:9" } else { "[2001:db8::1]:9" })?;
        socket.local_addr()
    };
    let own: io::Result<SocketAddr> = own();
    let own = own.context("where can others reach this lobby? Say it with --address HOST:PORT")?;
    let addr = SocketAddr::new(own.ip(), listening.port());
    eprintln!(
        "lobbyd: taking {addr} for the address of this machine; if others reach it by another, say --address"
    );
    Ok(addr.to_string())
}

/// To the lobby that runs, or to what it has left on the disk.
async fn give(data: &Path, order: Order) -> anyhow::Result<Answer> {
    let running = desk::order(data, &order).await;
    if let Some(answer) = running.context("the running lobbyd does not answer")? {
        return Ok(answer);
    }
    if !data.is_dir() {
        bail!("there is no lobby in {}: start one with lobbyd, or name its --data-dir", data.display());
    }
    // What root would write into the folder of another user, that user could not read.
    dirs::own_dir(data)?;
    let _lock = lock(data)?;
    let (mut kept, ledger, keeper) = keep::open(data)
        .with_context(|| format!("cannot read what the lobby in {} keeps", data.display()))?;
    kept.present.clear(); // nobody is here while no lobby runs
    let config = LobbyConfig { entry: Entry::Invited, ..LobbyConfig::default() };
    let hub = Hub::new(config, kept, ledger, Log::none());
    let answer = desk::carry_out(&hub, order).await;
    drop(hub);
    keeper.finish();
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_like_people_write_them() {
        for good in ["7d", "12h", "30m", "1d 12h", "2 weeks", "never"] {
            assert!(expiry(good).is_ok_and(|time| time.at().is_ok()), "{good}");
        }
        for bad in ["", "7", "-1d", "0s", "soon"] {
            assert!(expiry(bad).is_err(), "{bad}");
        }
        let at = expiry("7d").expect("time").at().expect("near").expect("ends").0;
        let now = u64::try_from(Zoned::now().timestamp().as_millisecond()).expect("now");
        let hours = at.abs_diff(now) / 3_600_000;
        assert!((166..=169).contains(&hours), "a week of {hours} hours");
    }

    #[test]
    fn a_lobby_that_listens_everywhere_is_invited_to_by_an_address_of_the_machine() {
        assert_eq!(reachable("chat.example.org:1").expect("named"), "chat.example.org:1");
        assert_eq!(reachable("192.0.2.7:1").expect("an address"), "192.0.2.7:1");
        if let Ok(addr) = reachable("0.0.0.0:7") {
            assert!(!addr.starts_with("0.0.0.0") && addr.ends_with(":7"), "{addr}");
        }
    }
}
