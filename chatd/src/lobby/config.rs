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

/// What a reader gets that has read another log than this lobby's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// All that is kept.
    All,
    /// What was said since the lobby opened. It took over from another one, whose readers know what was said there;
    /// what was said here long before is no news to them.
    SinceOpen,
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
    /// Most entries of the log that are kept on disk; beyond, the oldest go.
    pub keep_entries: u64,
    /// Longest time for which an entry is kept.
    pub keep_age: Duration,
    /// Most bytes of entries that are kept: of their texts, and 256 more for each.
    pub keep_bytes: u64,
    /// What a reader gets that comes from another lobby.
    pub past: Past,
    /// Most entries of the log that are held in memory, for those who are up to date.
    pub ring_entries: usize,
    /// Most bytes of encoded entries that are held in memory.
    pub ring_bytes: usize,
    /// Most comings and goings that a member may be behind before its link is cut.
    pub max_changes: usize,
    /// Time for which a member whose link dropped still counts as present.
    pub absent_grace: Duration,
    /// Time for which those still count as present who were so when the lobby went down.
    pub restart_grace: Duration,
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
            keep_entries: 100_000,
            keep_age: Duration::from_hours(30 * 24),
            keep_bytes: 256 * 1024 * 1024,
            past: Past::All,
            ring_entries: 4_096,
            ring_bytes: 16 * 1024 * 1024,
            max_changes: 16_384,
            absent_grace: Duration::from_secs(10),
            restart_grace: Duration::from_secs(30),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            drain_timeout: Duration::from_secs(2),
            restart_retry: Duration::from_millis(500),
        }
    }
}
