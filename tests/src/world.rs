//! Folders and ports that no other test has.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

/// First port that is tried: below those that systems give to outgoing connections, so that none of them can be in
/// the way of a lobby that comes back.
const FIRST_PORT: u16 = 20_000;

/// Ports for each test process, so that processes at the same time seldom meet.
const PORTS: u16 = 50;

/// One machine of the story: a folder of temporary files and a lobby port.
///
/// The folder is kept where a test fails, for its logs.
#[derive(Debug)]
pub struct World {
    dir: Option<TempDir>,
    lobby: SocketAddr,
}

/// Where the daemons of one user keep their files. Daemons of the same name need two of these.
#[derive(Debug, Clone)]
pub struct House {
    /// For `--data-dir`.
    pub data: PathBuf,
    /// For `--runtime-dir`.
    pub runtime: PathBuf,
    /// For what programs say on standard error.
    pub errors: PathBuf,
}

impl World {
    /// An empty machine.
    #[allow(clippy::new_without_default, reason = "it makes a folder, which nobody expects of a default")]
    pub fn new() -> Self {
        Self { dir: Some(tempfile::tempdir().expect("a temporary folder")), lobby: free_port() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.as_ref().expect("it is there until the drop").path()
    }

    /// Where the lobby is, or will be.
    pub fn lobby(&self) -> SocketAddr {
        self.lobby
    }

    /// A house by its name, made at the first call. Nobody else can enter.
    pub fn house(&self, name: &str) -> House {
        let base = self.path().join(name);
        let house = House { data: base.join("data"), runtime: base.join("run"), errors: base.join("errors") };
        for folder in [&base, &house.data, &house.runtime, &house.errors] {
            private(folder);
        }
        house
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take().filter(|_| std::thread::panicking()) {
            eprintln!("the files of this test are kept in {}", dir.keep().display());
        }
    }
}

/// A folder for its owner only.
pub fn private(folder: &Path) {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).expect("a folder");
}

/// A loopback address on which nobody listens, given to nobody else in this process.
fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 200).expect("below 200");
    loop {
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST_PORT + (own * PORTS + count) % 10_000;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
}
