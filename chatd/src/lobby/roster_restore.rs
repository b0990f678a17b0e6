//! Taking up in the roster what was kept over a restart.

use super::{Arc, Instant, Key, Member, Name, Record, Roster, State, WallMs};

impl Roster {
    /// Takes up names that were kept, longest unused first. Where two look alike the one used last is taken.
    pub(in crate::lobby) fn restore(&mut self, names: Vec<(Key, Name, WallMs)>) {
        let surplus = names.len().saturating_sub(self.max_known);
        self.noted.extend(names.iter().take(surplus).map(|(key, ..)| *key));
        for (key, name, used) in names.into_iter().skip(surplus) {
            while let Some(owner) = self.owner(key, &name).map(|member| member.key) {
                self.remove(owner);
            }
            self.departures += 1;
            let departure = self.departures;
            self.own(key, &name);
            self.absent.insert((departure, key));
            let member = Arc::new(Member { name, key });
            self.records.insert(key, Record { member, state: State::Absent { departure }, used });
        }
    }

    /// These were present when the lobby went down: they count as present until `until`, and have never left if they are
    /// back by then.
    pub(in crate::lobby) fn expect_back(&mut self, keys: impl IntoIterator<Item = Key>, until: Instant) {
        for key in keys {
            if let Some(Record { state, .. }) = self.records.get_mut(&key)
                && let State::Absent { departure } = *state
                && self.present < self.max_present
            {
                *state = State::Dropped { until, addr: None };
                self.absent.remove(&(departure, key));
                self.leaving.insert((until, key));
                self.present += 1;
            }
        }
    }
}
