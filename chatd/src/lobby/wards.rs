//! What operators have decided about keys and addresses: who may not come in, and who may not speak.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use proto::ids::{Key, WallMs};

use super::keep::{Row, RowChange, RowId};

/// Most decisions that are kept.
const MAX_RULES: usize = 10_000;

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    /// May not come in.
    Ban,
    /// May not speak.
    Mute,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Mute => "mute",
        }
    }

    pub(super) fn of(word: &str) -> Option<Self> {
        [Self::Ban, Self::Mute].into_iter().find(|kind| kind.word() == word)
    }
}

/// About whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Subject {
    /// Whoever has this key.
    Key(Key),
    /// Whoever comes from there.
    Addr(IpAddr),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Addr(addr) => addr.fmt(f),
        }
    }
}

impl FromStr for Subject {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let addr = text.parse().map(|addr: IpAddr| Self::Addr(addr.to_canonical()));
        addr.or_else(|_| Key::parse(text).map(Self::Key)).map_err(|_| ())
    }
}

/// A decision about somebody.
pub(super) type Rule = (Kind, Subject);

/// There are as many decisions as are kept.
#[derive(Debug, thiserror::Error)]
#[error("there are {MAX_RULES} bans and mutes already: lift some first")]
pub(super) struct TooMany;

/// All decisions that hold, with their ends; `None`: for good.
#[derive(Debug, Default)]
pub(super) struct Wards {
    rules: HashMap<Rule, Option<WallMs>>,
    changes: Vec<RowChange>,
}

impl Wards {
    pub(super) fn new(rules: HashMap<Rule, Option<WallMs>>) -> Self {
        Self { rules, changes: Vec::new() }
    }

    /// Whether a decision holds now.
    pub(super) fn holds(&self, kind: Kind, subject: Subject, now: WallMs) -> bool {
        self.rules.get(&(kind, subject)).is_some_and(|end| end.is_none_or(|end| end > now))
    }

    /// Decides anew; an earlier end does not count any more. Decisions that are over make room.
    pub(super) fn set(&mut self, rule: Rule, end: Option<WallMs>, now: WallMs) -> Result<(), TooMany> {
        let over = self.rules.extract_if(|_, end| end.is_some_and(|end| end <= now));
        self.changes.extend(over.map(|(rule, _)| (RowId::Rule(rule), None)));
        if self.rules.len() >= MAX_RULES && !self.rules.contains_key(&rule) {
            return Err(TooMany);
        }
        self.rules.insert(rule, end);
        self.changes.push((RowId::Rule(rule), Some(Row::Rule(end))));
        Ok(())
    }

    /// Takes a decision back. `false`: there was none.
    pub(super) fn lift(&mut self, rule: Rule) -> bool {
        let found = self.rules.remove(&rule).is_some();
        if found {
            self.changes.push((RowId::Rule(rule), None));
        }
        found
    }

    /// Those that hold now, in order.
    pub(super) fn all(&self, now: WallMs) -> Vec<(Rule, Option<WallMs>)> {
        let holds = |end: &Option<WallMs>| end.is_none_or(|end| end > now);
        let rules = self.rules.iter().filter(|(_, end)| holds(end));
        let mut rules: Vec<_> = rules.map(|(rule, end)| (*rule, *end)).collect();
        rules.sort();
        rules
    }

    /// The rows that have changed since the last call.
    pub(super) fn take_changes(&mut self) -> Vec<RowChange> {
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: Subject = Subject::Key(Key([1; 32]));

    #[test]
    fn a_decision_holds_until_its_end_or_until_it_is_lifted() {
        let mut wards = Wards::default();
        wards.set((Kind::Ban, ANNA), Some(WallMs(5)), WallMs(1)).expect("room");
        wards.set((Kind::Mute, ANNA), None, WallMs(1)).expect("room");
        assert!(wards.holds(Kind::Ban, ANNA, WallMs(4)) && !wards.holds(Kind::Ban, ANNA, WallMs(5)));
        assert_eq!(wards.all(WallMs(5)), [((Kind::Mute, ANNA), None)]);
        assert!(wards.lift((Kind::Mute, ANNA)) && !wards.lift((Kind::Mute, ANNA)));
        assert!(!wards.holds(Kind::Mute, ANNA, WallMs(4)));
    }

    #[test]
    fn subjects_are_keys_and_addresses_in_one_form() {
        let addr = |text: &str| Subject::Addr(text.parse().expect("address"));
        assert_eq!("::ffff:192.0.2.7".parse(), Ok(addr("192.0.2.7")));
        for subject in [ANNA, addr("2001:db8::7")] {
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
        assert_eq!("anna".parse::<Subject>(), Err(()));
    }
}
