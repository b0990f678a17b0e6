//! Which run of the peer speaks, and whether two machines use its key at once.

use std::collections::VecDeque;
use std::time::Duration;

use proto::ids::Instance;

/// Returns to an earlier run, within [`WINDOW`], that tell two machines from late hellos of runs that have ended.
const MOST_RETURNS: usize = 8;
/// How long a return counts.
const WINDOW: Duration = Duration::from_mins(10);
/// Changes that are remembered.
const REMEMBERED: usize = 24;

/// The runs of a peer, as they showed themselves.
#[derive(Debug, Default)]
pub(super) struct Instances {
    changes: VecDeque<(Duration, Instance)>,
}

impl Instances {
    /// A hello of this run came.
    pub(super) fn seen(&mut self, now: Duration, instance: Instance) {
        if self.changes.back().is_some_and(|(_, last)| *last == instance) {
            return;
        }
        if self.changes.len() == REMEMBERED {
            self.changes.pop_front();
        }
        self.changes.push_back((now, instance));
    }

    /// Runs alternate: a daemon that restarts never returns to an earlier one.
    pub(super) fn is_torn(&self, now: Duration) -> bool {
        let returned = |index: usize, instance: &Instance| {
            self.changes.iter().take(index).any(|(_, earlier)| earlier == instance)
        };
        let recent = self.changes.iter().enumerate().filter(|(_, (at, _))| now.saturating_sub(*at) < WINDOW);
        recent.filter(|(index, (_, instance))| returned(*index, instance)).count() >= MOST_RETURNS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_are_told_from_two_machines_with_one_key() {
        let at = Duration::from_secs;
        let mut restarts = Instances::default();
        for n in 0..10 {
            restarts.seen(at(n), Instance([u8::try_from(n).expect("small"); 16]));
        }
        assert!(!restarts.is_torn(at(10)));

        let mut copies = Instances::default();
        for n in 0..10 {
            copies.seen(at(n), Instance([u8::try_from(n % 2).expect("small"); 16]));
            copies.seen(at(n), Instance([u8::try_from(n % 2).expect("small"); 16]));
        }
        assert!(copies.is_torn(at(10)));
        assert!(!copies.is_torn(at(10) + WINDOW), "it is forgotten");
    }
}
