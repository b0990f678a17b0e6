//! Every bound of a lobby in one place.

use std::time::Duration;

use crate::link::HANDSHAKE_TIMEOUT;

/// Whom a lobby lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Anybody who reaches its port.
    Open,
    /// Whoever was invited.
    Invited,
}

/// What a lobby holds and how long it waits. [`LobbyConfig::default`] suits a small machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LobbyConfig {
    /// Whom it lets in.
    pub entry: Entry,
    /// Most members present; who comes after is told to try again later.
    pub max_members: usize,
    /// Most names that are remembered, those of the absent included; the longest absent is forgotten first.
    pub max_known: usize,
    /// Time for which nobody else gets the name of somebody who stays away.
    pub name_rest: Duration,
    /// Most connections that have not said a good hello yet.
    pub max_pending: usize,
    /// Most entries of the log that are held.
    pub ring_entries: usize,
    /// Most bytes of encoded entries that are held.
    pub ring_bytes: usize,
    /// Most comings and goings that a member may be behind before its link is cut.
    pub max_changes: usize,
    /// Time for which a member whose link dropped still counts as present.
    pub absent_grace: Duration,
    /// Time from accept to a good hello.
    pub handshake_timeout: Duration,
    /// Time for the goodbyes when the lobby stops.
    pub drain_timeout: Duration,
    /// How long members are asked to wait before they come back to a lobby that stopped.
    pub restart_retry: Duration,
}

impl Default for LobbyConfig {
    fn default() -> Self {
        Self {
            entry: Entry::Open,
            max_members: 10_000,
            max_known: 65_536,
            name_rest: Duration::from_hours(90 * 24),
            max_pending: 512,
            ring_entries: 16_384,
            ring_bytes: 64 * 1024 * 1024,
            max_changes: 16_384,
            absent_grace: Duration::from_secs(10),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            drain_timeout: Duration::from_secs(2),
            restart_retry: Duration::from_millis(500),
        }
    }
}
