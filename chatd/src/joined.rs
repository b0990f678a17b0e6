//! The lobby that an invitation led to: kept in the daemon's database, so that the secret is said once and shown never.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read};
use std::process::ExitCode;

use anyhow::{Context, bail};
use proto::ids::Key;
use proto::invitation::{Invitation, Token};
use serde::{Deserialize, Serialize};

use crate::app::Places;
use crate::cli::{Cli, LobbyArg};
use crate::daemon::pin_name;
use crate::dirs::{DirError, Lock};
use crate::identity::fingerprint;
use crate::store::{Store, StoreError};

/// Key of the lobby among the store's named values.
const META: &str = "lobby";
/// Longest line that is read as an invitation, in bytes.
const MAX_LINE: u64 = 1_024;

/// A lobby with the key that it must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Where it is, `host:port`.
    pub addr: String,
    /// Its key.
    pub lobby: Key,
    /// What opens it, until it has.
    pub token: Option<Token>,
}

impl Joined {
    /// The lobby that was joined last, if any.
    pub fn load(store: &Store) -> Result<Option<Self>, StoreError> {
        let kept = store.meta(META)?.filter(|kept| !kept.is_empty());
        kept.map(|kept| serde_json::from_str(&kept).map_err(|_| StoreError::Broken("lobby"))).transpose()
    }

    /// Has it kept, with the next commit.
    pub fn save(&self, store: &mut Store) -> Result<(), StoreError> {
        store.set_meta(META, &serde_json::to_string(self).map_err(|_| StoreError::Broken("lobby"))?)
    }

    /// The token was good: the own key is what opens the lobby from now on.
    pub fn opened(&mut self, store: &mut Store) -> Result<(), StoreError> {
        if self.token.take().is_some() { self.save(store) } else { Ok(()) }
    }
}

impl From<Invitation> for Joined {
    fn from(Invitation { addr, lobby, token }: Invitation) -> Self {
        Self { addr, lobby, token: Some(token) }
    }
}

/// Takes a secret off the command line: keeps what it opens, then runs this program again without it, under the same
/// process id. From then on `ps` has nothing to show.
pub fn settle(cli: &Cli) -> anyhow::Result<ExitCode> {
    let joined = match &cli.lobby {
        Some(LobbyArg::Invited(invitation)) => Some(invitation.as_ref().clone().into()),
        Some(LobbyArg::Input) => Some(read_line()?.parse::<Invitation>()?.into()),
        Some(LobbyArg::Own) => None,
        Some(LobbyArg::Broken(error)) => return Err((*error).into()),
        Some(LobbyArg::Named(_)) | None => bail!("nothing to settle"),
    };
    keep(cli, joined.as_ref())?;
    again(args())
}

fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().take(MAX_LINE).read_to_string(&mut line).context("cannot read the invitation")?;
    Ok(line)
}

fn keep(cli: &Cli, joined: Option<&Joined>) -> anyhow::Result<()> {
    let places = Places::new(cli)?;
    let _lock = Lock::take(&places.data).map_err(|error| match error {
        DirError::Locked { pid, .. } => anyhow::anyhow!(
            "the daemon of {} runs{}: stop it first (kill it, or stop its unit; its sessions stay), then try again",
            cli.name,
            pid.map(|pid| format!(" as process {pid}")).unwrap_or_default()
        ),
        error => error.into(),
    })?;
    let mut store = places.store()?;
    match joined {
        Some(joined) => {
            let known = store.meta(&pin_name(&joined.addr))?.and_then(|key| Key::parse(&key).ok());
            if let Some(known) = known.filter(|known| *known != joined.lobby) {
                bail!(
                    "the invitation names another key for the lobby {} than the one you know: {}, not {}. Somebody may be \
                     posing as the lobby. If it was set up anew: start the daemon without the invitation, say chatctl trust \
                     lobby, and join again",
                    joined.addr,
                    fingerprint(&joined.lobby),
                    fingerprint(&known)
                );
            }
            joined.save(&mut store)?;
            store.set_meta(&pin_name(&joined.addr), &joined.lobby.to_string())?;
        }
        None => store.set_meta(META, "")?,
    }
    Ok(store.commit()?)
}

/// The arguments of this process, without one that names a lobby by a secret or asks to read one.
pub fn args() -> Vec<OsString> {
    without_secret(env::args_os().skip(1))
}

fn without_secret(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let settled = |value: &str| value.starts_with("chat://") || value == "-" || value == "local";
    let mut kept = Vec::new();
    let mut args = args.peekable();
    while let Some(arg) = args.next() {
        let joint = arg.to_str().and_then(|arg| arg.strip_prefix("--lobby="));
        if joint.is_some_and(settled) {
            continue;
        }
        if arg == "--lobby" && args.peek().and_then(|value| value.to_str()).is_some_and(settled) {
            args.next();
            continue;
        }
        kept.push(arg);
    }
    kept
}

#[cfg(unix)]
fn again(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    use std::os::unix::process::CommandExt;

    let program = env::current_exe().context("cannot tell which program this is")?;
    let error = std::process::Command::new(&program).args(args).exec();
    Err(error).with_context(|| format!("cannot start {} again", program.display()))
}

#[cfg(not(unix))]
fn again(args: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let program = env::current_exe().context("cannot tell which program this is")?;
    let status = std::process::Command::new(&program).args(args).status();
    let status = status.with_context(|| format!("cannot start {} again", program.display()))?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_off_the_command_line_and_nothing_else() {
        let without = |args: &[&str]| without_secret(args.iter().map(OsString::from));
        let kept = ["--name", "anna", "--detach"];
        for secret in ["chat://h:1/#k.t", "-", "local"] {
            assert_eq!(without(&["--name", "anna", "--lobby", secret, "--detach"]), kept);
            assert_eq!(without(&["--name", "anna", &format!("--lobby={secret}"), "--detach"]), kept);
        }
        let named = ["--name", "anna", "--lobby", "chat.example.org:1"];
        assert_eq!(without(&named), named);
    }

    #[test]
    fn a_token_is_kept_until_it_has_opened_the_lobby() {
        let mut store = Store::in_memory().expect("store");
        assert_eq!(Joined::load(&store).expect("reads"), None);
        let invitation = Invitation { addr: "h:1".into(), lobby: Key([1; 32]), token: Token([2; 16]) };
        let mut joined = Joined::from(invitation);
        joined.save(&mut store).expect("kept");
        assert_eq!(Joined::load(&store).expect("reads"), Some(joined.clone()));
        joined.opened(&mut store).expect("kept");
        let kept = Joined::load(&store).expect("reads").expect("is there");
        assert_eq!((kept.token, kept.addr.as_str()), (None, "h:1"));
    }
}
