//! The doorstep: how many connections may be between accept and a good hello, and who has to go when it is full.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Time that everybody has on a full doorstep. Honest callers need a few milliseconds, so it is the ones who drip
/// their handshake that go; when honest ones crowd, they wait in the listener's queue instead.
const PATIENCE: Duration = Duration::from_secs(1);

/// Gives out the places on the doorstep.
pub(crate) struct Gate {
    places: Arc<Semaphore>,
    waiting: Arc<Waiting>,
    next: u64,
}

#[derive(Default)]
struct Waiting(Mutex<BTreeMap<u64, (Instant, CancellationToken)>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, (Instant, CancellationToken)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place on the doorstep, free again when dropped.
pub(crate) struct Place {
    number: u64,
    waiting: Arc<Waiting>,
    evicted: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Gate {
    pub(crate) fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), waiting: Arc::default(), next: 0 }
    }

    /// Waits for a place. Where there is none the one who has stood longest gets it over with. Cancel safe.
    pub(crate) async fn free(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(permit) = self.places.clone().try_acquire_owned() {
                return permit;
            }
            let oldest = self.waiting.lock().first_key_value().map(|(_, place)| place.clone());
            // Without an entry the last place is just being given back.
            let (since, evicted) = oldest.unwrap_or_else(|| (Instant::now(), CancellationToken::new()));
            tokio::select! {
                permit = self.places.clone().acquire_owned() => if let Ok(permit) = permit { return permit },
                () = sleep_until(since + PATIENCE), if !evicted.is_cancelled() => evicted.cancel(),
            }
        }
    }

    /// Puts a caller on its place.
    pub(crate) fn enter(&mut self, permit: OwnedSemaphorePermit) -> Place {
        self.next += 1;
        let (number, evicted) = (self.next, CancellationToken::new());
        self.waiting.lock().insert(number, (Instant::now(), evicted.clone()));
        Place { number, waiting: self.waiting.clone(), evicted, _permit: permit }
    }
}

impl Place {
    /// Returns when somebody else needs the place.
    pub(crate) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn on_a_full_doorstep_the_one_who_has_stood_longest_goes() {
        let mut gate = Gate::new(2);
        let first = gate.free().await;
        let first = gate.enter(first);
        let second = gate.free().await;
        let second = gate.enter(second);
        let begun = Instant::now();
        let leave = async {
            first.evicted().await;
            drop(first);
        };
        let (_permit, ()) = tokio::join!(gate.free(), leave);
        assert_eq!(begun.elapsed(), PATIENCE);
        assert!(!second.evicted.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_given_back_is_taken_without_harm() {
        let mut gate = Gate::new(1);
        let permit = gate.free().await;
        let place = gate.enter(permit);
        let evicted = place.evicted.clone();
        let begun = Instant::now();
        let (_permit, ()) = tokio::join!(gate.free(), async { drop(place) });
        assert!(begun.elapsed().is_zero() && !evicted.is_cancelled());
    }
}
