//! Which daemon is meant: the one that was named, or the only one that runs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use proto::name::Name;
use proto::paths::{Base, SOCKET_EXTENSION};

use crate::cli::Global;
use crate::client::{Client, LinkError};
use crate::failure::Failure;

/// The folders that the command line means.
pub fn base(global: &Global) -> Result<Base, Failure> {
    Base::resolve(global.data_dir.clone(), global.runtime_dir.clone())
        .map_err(|error| Failure::Usage(error.to_string()))
}

/// Attaches to the daemon that is meant; where none runs that is a failure.
pub async fn connect(global: &Global) -> Result<Client, Failure> {
    let base = base(global)?;
    Ok(Client::connect(&base.socket(&running(global, &base).await?)).await?)
}

/// The name of the daemon that is meant: as given, or the only one that answers.
pub async fn running(global: &Global, base: &Base) -> Result<Name, Failure> {
    if let Some(name) = &global.name {
        return Ok(name.clone());
    }
    only_running(base).await?.ok_or_else(|| {
        let place = base.runtime.display();
        Failure::NoDaemon(format!(
            "no daemon is running ({place} has no living socket); start one with: chatctl attach"
        ))
    })
}

/// The only daemon that answers; `None` where none does.
pub async fn only_running(base: &Base) -> Result<Option<Name>, Failure> {
    let mut found = Vec::new();
    for path in files(&base.runtime)? {
        if path.extension().is_none_or(|extension| extension != SOCKET_EXTENSION) {
            continue;
        }
        // A dead daemon leaves its socket behind: only an answer counts. One that refuses or hangs is there.
        match Client::connect(&path).await {
            Err(LinkError::NoDaemon { .. }) => {}
            answer => found.extend(name_behind(&path, answer.ok()).await),
        }
    }
    found.sort();
    choose(found, "several daemons are running")
}

/// The name of the daemon behind a socket. A long name is not in the name of the file: the daemon says it.
async fn name_behind(path: &Path, client: Option<Client>) -> Option<Name> {
    if let Some(name) = path.file_stem().and_then(|stem| Name::new(stem.to_str()?).ok()) {
        return Some(name);
    }
    Some(client?.state().await.ok()?.daemon?.wished)
}

/// The only name that was used here before; `None` where there is none.
pub fn only_known(base: &Base) -> Result<Option<Name>, Failure> {
    // Without a runtime folder of the platform, sockets are in a folder beside those of the daemons.
    let folders = files(&base.data)?.into_iter().filter(|path| *path != base.runtime && path.is_dir());
    let mut known: Vec<Name> =
        folders.filter_map(|path| Name::new(path.file_name()?.to_str()?).ok()).collect();
    known.sort();
    choose(known, "several names were used here and no daemon is running")
}

fn choose(mut names: Vec<Name>, what: &str) -> Result<Option<Name>, Failure> {
    if names.len() < 2 {
        return Ok(names.pop());
    }
    let list: Vec<_> = names.iter().map(Name::as_str).collect();
    Err(Failure::Usage(format!("{what} ({}); choose one with --name NAME or CHAT_NAME", list.join(", "))))
}

/// What is in a folder; nothing where it is missing.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("unable to look into {}", folder.display()))?,
    };
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(dir: &Path) -> Base {
        Base { data: dir.join("data"), runtime: dir.join("data/run") }
    }

    #[test]
    fn the_only_known_name_is_taken_and_several_are_not_guessed_from() {
        let dir = tempfile::tempdir().expect("folder");
        let base = base(dir.path());
        assert_eq!(only_known(&base).expect("none"), None);
        fs::create_dir_all(&base.runtime).expect("folder");
        fs::create_dir_all(base.data.join("anna")).expect("folder");
        fs::write(base.data.join("notes"), "").expect("file");
        assert_eq!(only_known(&base).expect("one"), Name::new("anna").ok());
        fs::create_dir_all(base.data.join("bobby")).expect("folder");
        let failure = only_known(&base).expect_err("two");
        assert_eq!(failure.code(), 2);
        assert!(failure.to_string().contains("anna, bobby"), "{failure}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_dead_socket_is_no_daemon() {
        let dir = tempfile::tempdir().expect("folder");
        let base = base(dir.path());
        fs::create_dir_all(&base.runtime).expect("folder");
        drop(std::os::unix::net::UnixListener::bind(base.runtime.join("anna.sock")).expect("binds"));
        assert_eq!(only_running(&base).await.expect("none"), None);
    }
}
