//! Whose name is easily taken for whose: `аnna` in other letters looks like `anna`.

use std::collections::HashMap;

use proto::ids::Key;
use proto::name::Name;

use super::Core;
use crate::peer::PeerSession;

/// Names by what they look like.
#[derive(Debug, Default)]
pub(super) struct Looks(HashMap<String, Vec<(Key, Name)>>);

impl Looks {
    pub(super) fn add(&mut self, key: Key, name: &Name) {
        for look in name.skeletons() {
            self.0.entry(look).or_default().push((key, name.clone()));
        }
    }

    pub(super) fn remove(&mut self, key: Key, name: &Name) {
        for look in name.skeletons() {
            if let Some(named) = self.0.get_mut(&look) {
                named.retain(|(owner, owned)| *owner != key || owned != name);
                if named.is_empty() {
                    self.0.remove(&look);
                }
            }
        }
    }

    /// A name of another key that looks like this one. Exactly the same name is another matter: see `Trust::Changed`.
    pub(super) fn like(&self, key: Key, name: &Name) -> Option<&Name> {
        let named = name.skeletons().into_iter().filter_map(|look| self.0.get(&look)).flatten();
        let mut others = named.filter(|(owner, other)| *owner != key && other.folded() != name.folded());
        others.next().map(|(_, other)| other)
    }
}

impl FromIterator<(Key, Name)> for Looks {
    fn from_iter<I: IntoIterator<Item = (Key, Name)>>(names: I) -> Self {
        let mut looks = Self::default();
        for (key, name) in names {
            looks.add(key, &name);
        }
        looks
    }
}

impl Core {
    /// The names that the person knows: the own one, those of everybody who is pinned, and those of everybody there was
    /// a private session with. Whoever still asks for one is not known by that.
    pub(super) fn known_looks(&self) -> Looks {
        let sessions = self.sessions.values().filter(|session| !session.is_held());
        let sessions = sessions.map(|session| (session.peer(), session.name().clone()));
        let pins = self.pins.all().map(|pin| (pin.key, pin.name.clone()));
        sessions.chain(pins).chain([(self.me.key, self.me.name.clone())]).collect()
    }

    /// The name that a person is easily taken for. A mark stands beside the less known of the two: nobody who was
    /// spoken with is suspected for the name of a newcomer.
    pub(super) fn lookalike(&self, known: &Looks, key: Key, name: &Name) -> Option<Name> {
        if key == self.me.key {
            return None;
        }
        let session = self.find_key(&key).and_then(|log| self.sessions.get(&log));
        let newcomer = self.pins.get(&key).is_none() && session.is_none_or(PeerSession::is_held);
        let present = || self.room.presence.like(key, name).filter(|_| newcomer);
        known.like(key, name).or_else(present).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use proto::ids::{Generation, LobbySeq, Pos, Seq, WallMs};
    use proto::ipc::{Call, Range, Reply};
    use proto::lobby::{FromLobby, Member, Welcome};
    use rand::{SeedableRng, rngs::StdRng};
    use tokio::sync::oneshot;

    use super::super::{Accept, Effect, Event, Setup};
    use super::*;
    use crate::peer::Now;
    use crate::store::{LogId, Progress, Store};

    fn member(id: u8, name: &str) -> Member {
        Member { key: Key([id; 32]), name: Name::new(name).expect("name") }
    }

    /// A daemon called `carol` with key 9 whose lobby has told it that these are there, one after the other.
    fn core(folder: &Path, members: &[Member]) -> Core {
        let me = member(9, "carol");
        let (key, name) = (me.key, me.name.clone());
        let setup = Setup {
            key,
            name,
            lobby: String::new(),
            named: false,
            accept: Accept::Anyone,
            joined: None,
            listening: None,
        };
        let now = Now { mono: Duration::ZERO, wall: WallMs(1) };
        let store = Store::open(&folder.join("db")).expect("store");
        let mut core = Core::load(setup, store, StdRng::seed_from_u64(1), now).expect("core");
        let welcome = Welcome {
            version: 1,
            features: Vec::new(),
            name: me.name.clone(),
            generation: Generation([1; 16]),
            head: LobbySeq::START,
            seen_as: ([127, 0, 0, 1], 1).into(),
        };
        let mut told = vec![FromLobby::Welcome(Box::new(welcome))];
        told.push(FromLobby::Members { members: vec![me], more: false });
        let joined = |member: &Member| FromLobby::Presence { joined: vec![member.clone()], left: Vec::new() };
        told.extend(members.iter().map(joined));
        for message in told {
            core.handle(now, Event::Lobby(message)).expect("handled");
        }
        core.commit(now).expect("committed");
        core
    }

    /// What stands beside the names in the list of users.
    fn marks(core: &mut Core) -> Vec<(String, Option<String>)> {
        let (reply, mut answer) = oneshot::channel();
        let now = core.now;
        core.handle(now, Event::Call(Call::Users { after: None }, reply)).expect("handled");
        for effect in core.commit(now).expect("committed") {
            if let Effect::Reply(reply, users) = effect {
                reply.send(users).expect("waited for");
            }
        }
        let Ok(Reply::Users { users, .. }) = answer.try_recv() else { panic!("no users") };
        users.into_iter().map(|user| (user.name.into(), user.lookalike.map(String::from))).collect()
    }

    #[test]
    fn a_newcomer_that_looks_like_somebody_is_marked_in_the_list_and_as_it_joins() {
        let folder = tempfile::tempdir().expect("folder");
        let mut core = core(folder.path(), &[member(1, "anna"), member(2, "аnna"), member(3, "cаrol")]);
        let owned = |name: &str, like: Option<&str>| (name.to_owned(), like.map(str::to_owned));
        // Two strangers look like each other: there is no telling who is meant.
        let list = [
            owned("anna", Some("аnna")),
            owned("carol", None),
            owned("cаrol", Some("carol")),
            owned("аnna", Some("anna")),
        ];
        assert_eq!(marks(&mut core), list);
        core.session_with(Key([1; 32]), &Name::new("anna").expect("name")).expect("a session");
        assert_eq!(marks(&mut core)[0], owned("anna", None), "who was spoken with is not suspected");
        assert_eq!(marks(&mut core)[3], owned("аnna", Some("anna")));
        let reader = core.store.reader().expect("a file").expect("opens");
        let (all, nobody) = (Range::After(Seq::START), Progress { sent: Pos::START, delivered: Pos::START });
        let lines = reader.page(LogId::LOBBY, all, 9, &core.me.key, nobody).expect("reads");
        let lines: Vec<_> = lines
            .into_iter()
            .map(|line| owned(line.from.expect("name").as_str(), Some(&line.text)))
            .collect();
        assert_eq!(
            lines,
            [owned("anna", Some("")), owned("аnna", Some("anna")), owned("cаrol", Some("carol"))]
        );
    }

    #[test]
    fn a_name_in_other_letters_is_found_until_its_owner_is_gone() {
        let name = |text: &str| Name::new(text).expect("name");
        let (anna, eve) = (Key([1; 32]), Key([2; 32]));
        let mut looks: Looks = [(anna, name("anna")), (Key([3; 32]), name("Ian"))].into_iter().collect();
        assert_eq!(looks.like(eve, &name("аnna")), Some(&name("anna")));
        assert_eq!(looks.like(eve, &name("lan")), Some(&name("Ian")));
        assert_eq!(looks.like(anna, &name("аnna")), None, "its own name in other letters");
        assert_eq!(looks.like(eve, &name("ANNA")), None, "the same name is told of by its key");
        looks.remove(anna, &name("anna"));
        assert_eq!(looks.like(eve, &name("аnna")), None);
    }
}
