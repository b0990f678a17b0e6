//! When to try again: decorrelated jitter, so that many who lost the same thing do not return in step.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};

/// Waits between tries. Each is drawn between the base and three times the one before, up to a cap
/// (Marc Brooker, "Exponential Backoff And Jitter").
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    last: Duration,
}

impl Backoff {
    /// A backoff whose waits are at least `base` and at most `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, last: base }
    }

    /// The next wait.
    pub fn next(&mut self, rng: &mut StdRng) -> Duration {
        let highest = self.cap.min(self.last * 3).max(self.base);
        self.last = self.base + highest.saturating_sub(self.base).mul_f64(rng.random::<f64>());
        self.last
    }

    /// All went well: begin from the base again.
    pub fn reset(&mut self) {
        self.last = self.base;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn waits_start_low_grow_and_stay_under_the_cap() {
        let (base, cap) = (Duration::from_millis(500), Duration::from_secs(30));
        let mut rng = StdRng::seed_from_u64(7);
        let mut backoff = Backoff::new(base, cap);
        let waits: Vec<_> = (0..200).map(|_| backoff.next(&mut rng)).collect();
        assert!(waits[0] <= base * 3);
        assert!(waits.iter().all(|wait| (base..=cap).contains(wait)));
        assert!(waits.iter().any(|wait| *wait > cap / 2));
        backoff.reset();
        assert!(backoff.next(&mut rng) <= base * 3);
    }
}
