//! Several people at once: daemons that are in a lobby, and have sessions with each other.

use std::fs;
use std::net::SocketAddr;

use proto::ids::Key;

use crate::process::Daemon;
use crate::world::World;

impl Daemon {
    /// Daemons of these names in the machine's own lobby, each there before the next one comes.
    pub fn meet<const N: usize>(world: &World, names: [&str; N]) -> [Self; N] {
        names.map(|name| {
            let daemon = Self::start(world, name);
            daemon.in_lobby();
            daemon
        })
    }

    /// One in a house of its own, in a lobby at that address.
    pub fn in_lobby_at(world: &World, house: &str, lobby: SocketAddr, name: &str) -> Self {
        let daemon = Self::with(name, world.house(house), &["--lobby", &lobby.to_string()]);
        daemon.in_lobby();
        daemon
    }

    /// Opens a session with somebody in the same lobby, and waits until both are connected.
    pub fn fork(&self, other: &Self) {
        self.ctl().ok(&["fork", other.name()]);
        self.connected_to(other.name());
        other.connected_to(self.name());
    }

    /// Its key.
    pub fn key(&self) -> Key {
        self.until("its key", |state| state.daemon.as_ref().map(|row| row.key))
    }

    /// Where it takes peers.
    pub fn listening(&self) -> SocketAddr {
        self.until("listens", |state| state.daemon.as_ref()?.listening)
    }

    /// It goes on, in the very process in which it was, and nothing in it has panicked.
    pub fn lives(&self) {
        let pid = self.ctl().rows(&["status"])[0]["pid"].to_string();
        assert!(self.ready_line().contains(&format!("process {pid},")), "{}", self.ready_line());
        let errors = fs::read_to_string(self.house().errors.join(self.name())).expect("a file");
        assert!(!errors.contains("panicked"), "{errors}");
    }
}
