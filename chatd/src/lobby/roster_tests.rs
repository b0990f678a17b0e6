use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn roster(max_known: usize) -> Roster {
    Roster::new(&LobbyConfig { max_members: 4, max_known, max_changes: 64, ..LobbyConfig::default() })
}

fn name(text: &str) -> Name {
    Name::new(text).expect("name")
}

fn key(n: u8) -> Key {
    Key([n; 32])
}

fn enter(roster: &mut Roster, n: u8, wished: &str, link: u64) -> (String, Option<LinkNo>) {
    let (member, older) = roster.enter(key(n), &name(wished), LinkNo(link), None).expect("let in");
    (member.name.to_string(), older)
}

#[test]
fn a_taken_name_gets_a_number_and_case_does_not_make_it_free() {
    let mut roster = roster(100);
    assert_eq!(enter(&mut roster, 1, "anna", 1).0, "anna");
    assert_eq!(enter(&mut roster, 2, "Anna", 2).0, "Anna_2");
    assert_eq!(enter(&mut roster, 3, "ANNA", 3).0, "ANNA_3");
    assert_eq!(enter(&mut roster, 2, "anna", 4).0, "anna_2", "its own form of the name is free for it");
}

#[test]
fn a_lookalike_of_a_taken_name_gets_a_number_behind_the_owners_spelling() {
    let mut roster = roster(100);
    enter(&mut roster, 1, "anna", 1);
    assert_eq!(enter(&mut roster, 2, "аnnа", 2).0, "anna_2");
    assert!(
        roster.find(&name("аnnа")).is_none(),
        "nobody is reached under a name that only looks like theirs"
    );
    assert_eq!(enter(&mut roster, 2, "аnna_2", 3).0, "аnna_2", "its own name in other letters");
    assert_eq!(enter(&mut roster, 1, "Ian", 4).0, "Ian");
    assert_eq!(enter(&mut roster, 3, "lan", 5).0, "Ian_2");
    assert_eq!(enter(&mut roster, 4, "anna", 6).0, "anna", "given back");
    assert_eq!(enter(&mut roster, 2, "anna_2", 7).0, "anna_2");
}

#[test]
fn a_name_stays_its_keys_own_when_the_owner_is_away_until_it_is_forgotten() {
    let mut roster = roster(2);
    enter(&mut roster, 1, "anna", 1);
    roster.bye(key(1), LinkNo(1));
    assert_eq!(enter(&mut roster, 2, "anna", 2).0, "anna_2");
    assert_eq!(enter(&mut roster, 3, "carl", 3).0, "carl");
    assert_eq!(enter(&mut roster, 4, "anna", 4).0, "anna", "the longest absent was forgotten");
}

const DAY: u64 = 24 * 60 * 60 * 1000;

#[test]
fn a_name_unused_for_ninety_days_is_free_again() {
    let mut roster = roster(100);
    roster.set_wall(WallMs(5 * DAY));
    enter(&mut roster, 1, "anna", 1);
    roster.set_wall(WallMs(10 * DAY));
    roster.bye(key(1), LinkNo(1));
    roster.set_wall(WallMs(100 * DAY));
    assert_eq!(enter(&mut roster, 2, "anna", 2).0, "anna_2");
    roster.set_wall(WallMs(100 * DAY + 1));
    assert_eq!(enter(&mut roster, 2, "anna", 3).0, "anna");
    assert_eq!(enter(&mut roster, 1, "anna", 4).0, "anna_2", "it is somebody else's now");
}

#[test]
fn a_name_in_use_stays_its_keys_own_for_however_long() {
    let mut before = roster(100);
    enter(&mut before, 1, "anna", 1);
    before.set_wall(WallMs(200 * DAY));
    before.refresh();
    let mut after = roster(100);
    after.restore(rows(&mut before));
    after.set_wall(WallMs(201 * DAY));
    assert_eq!(enter(&mut after, 2, "anna", 1).0, "anna_2");
}

/// The names that changed, as they would be kept.
fn rows(roster: &mut Roster) -> Vec<(Key, Name, WallMs)> {
    let changes = roster.take_changes();
    let row = |(id, row)| match (id, row) {
        (RowId::Name(key), Some(Row::Name { name, used, .. })) => (key, name, used),
        change => panic!("a row is gone: {change:?}"),
    };
    changes.into_iter().map(row).collect()
}

#[test]
fn names_that_were_kept_belong_to_their_keys_whoever_comes_first() {
    let mut before = roster(100);
    for (n, wished) in [(1, "anna"), (2, "anna"), (3, "lan"), (3, "carl")] {
        enter(&mut before, n, wished, n.into());
    }
    let kept = rows(&mut before);
    assert!(before.take_changes().is_empty());
    let mut after = roster(100);
    after.restore(kept);
    assert!(after.everybody().is_empty());
    assert_eq!(enter(&mut after, 4, "Anna_2", 1).0, "Anna_2_2");
    assert_eq!(enter(&mut after, 5, "аnna", 2).0, "anna_3");
    assert_eq!(enter(&mut after, 2, "anna_2", 3).0, "anna_2");
    assert_eq!(enter(&mut after, 1, "anna", 4).0, "anna");
    after.bye(key(5), LinkNo(2));
    assert_eq!(enter(&mut after, 6, "Ian", 5).0, "Ian", "nobody goes by that any more");
}

#[test]
fn who_was_present_before_a_restart_is_so_until_the_grace_is_over() {
    let mut before = roster(100);
    for (n, who) in [(1, "anna"), (2, "bobby"), (3, "carol")] {
        enter(&mut before, n, who, u64::from(n));
    }
    before.bye(key(3), LinkNo(3));
    let mut after = roster(100);
    let until = Instant::now() + Duration::from_secs(30);
    after.restore(rows(&mut before));
    after.expect_back([key(1), key(2), key(9)], until);
    check(&after);
    assert_eq!(after.everybody().len(), 2);
    let mut cursor = after.changed();
    enter(&mut after, 1, "anna", 1);
    assert!(after.since(&mut cursor).expect("known").joined.is_empty(), "anna has never left");
    after.expire(until);
    check(&after);
    let left: Vec<Key> = after.since(&mut cursor).expect("known").left.iter().map(|who| who.key).collect();
    assert_eq!(left, [key(2)]);
}

#[test]
fn what_is_kept_beyond_the_bound_or_looks_alike_is_dropped() {
    let mut roster = roster(2);
    let kept = |n, text: &str, used| (key(n), name(text), WallMs(used));
    roster.restore(vec![kept(1, "anna", 1), kept(2, "b0bby", 2), kept(3, "bоbby", 3)]);
    check(&roster);
    assert_eq!(roster.records.len(), 1);
    let mut gone: Vec<_> = roster.take_changes().into_iter().collect();
    gone.sort_by_key(|(id, _)| *id != RowId::Name(key(1)));
    assert_eq!(gone, [(RowId::Name(key(1)), None), (RowId::Name(key(2)), None)]);
}

#[test]
fn the_newest_link_of_a_key_counts_and_the_room_hears_nothing() {
    let mut roster = roster(100);
    enter(&mut roster, 1, "anna", 1);
    let mut cursor = roster.changed();
    assert_eq!(enter(&mut roster, 1, "anna", 2), ("anna".into(), Some(LinkNo(1))));
    roster.dropped(Instant::now(), key(1), LinkNo(1));
    roster.bye(key(1), LinkNo(1));
    assert!(roster.holds(key(1), LinkNo(1)).is_none());
    assert!(roster.holds(key(1), LinkNo(2)).is_some());
    let delta = roster.since(&mut cursor).expect("known");
    assert!(delta.joined.is_empty() && delta.left.is_empty());
}

#[test]
fn a_dropped_link_counts_as_present_for_the_grace() {
    let mut roster = roster(100);
    enter(&mut roster, 1, "anna", 1);
    let (now, grace) = (Instant::now(), roster.grace);
    roster.dropped(now, key(1), LinkNo(1));
    assert_eq!(roster.next_expiry(), Some(now + grace));
    roster.expire(now + grace - Duration::from_millis(1));
    assert!(roster.find(&name("ANNA")).is_some());
    roster.expire(now + grace);
    assert!(roster.find(&name("anna")).is_none());
    assert_eq!((roster.next_expiry(), roster.everybody().len()), (None, 0));
}

#[test]
fn a_full_room_lets_only_members_back_in() {
    let mut roster = roster(100);
    for n in 1..=4 {
        enter(&mut roster, n, "anna", n.into());
    }
    let refused = roster.enter(key(5), &name("eve"), LinkNo(5), None).expect_err("full");
    assert_eq!(refused, Refusal::Full);
    assert_eq!(enter(&mut roster, 4, "anna", 6).0, "anna_4");
}

#[derive(Debug, Clone)]
enum Step {
    Enter(u8, u8),
    Drop(u8),
    Bye(u8),
    Wait(u64),
    Read(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0u8..6, 0u8..6).prop_map(|(who, wish)| Step::Enter(who, wish)),
        2 => (0u8..6).prop_map(Step::Drop),
        1 => (0u8..6).prop_map(Step::Bye),
        1 => (0u64..12).prop_map(Step::Wait),
        3 => (0usize..3).prop_map(Step::Read),
    ];
    proptest::collection::vec(step, 1..120)
}

/// A reader that knows presence only by what it was told.
struct Reader {
    cursor: u64,
    present: BTreeSet<(Key, String)>,
}

impl Reader {
    fn new(roster: &Roster) -> Self {
        Self { cursor: roster.changed(), present: present(roster) }
    }

    fn read(&mut self, roster: &Roster) {
        let Some(delta) = roster.since(&mut self.cursor) else {
            // Cut for being slow: it comes back and is told everything.
            *self = Self::new(roster);
            return;
        };
        for member in delta.left {
            assert!(
                self.present.remove(&(member.key, member.name.to_string())),
                "left without having joined"
            );
        }
        for member in delta.joined {
            assert!(self.present.insert((member.key, member.name.to_string())), "joined twice");
        }
        assert_eq!(self.present, present(roster));
    }
}

fn present(roster: &Roster) -> BTreeSet<(Key, String)> {
    roster.everybody().iter().map(|member| (member.key, member.name.to_string())).collect()
}

fn check(roster: &Roster) {
    let everybody = roster.everybody();
    let folded: BTreeSet<String> = everybody.iter().map(|member| member.name.folded()).collect();
    assert_eq!(folded.len(), everybody.len(), "a name has one owner");
    assert_eq!(roster.present, everybody.len());
    let looks: Vec<_> = roster.records.values().flat_map(|record| record.member.name.skeletons()).collect();
    assert_eq!(roster.looks.len(), looks.len(), "no two keys have names that look alike");
    assert!(looks.iter().all(|look| roster.looks.contains_key(look)));
    assert_eq!(roster.absent.len() + roster.present, roster.records.len());
    assert!(roster.present <= 4 && roster.records.len() <= 5 && roster.changes.len() <= 64);
}

proptest! {
    #[test]
    fn readers_know_who_is_present_whatever_happens(steps in steps()) {
        let mut roster = roster(5);
        let mut readers: Vec<Reader> = (0..3).map(|_| Reader::new(&roster)).collect();
        let (mut now, mut links, mut last) = (Instant::now(), 0, [LinkNo(0); 6]);
        for step in steps {
            match step {
                Step::Enter(who, wish) => {
                    links += 1;
                    let wished = name(["anna", "ANNA", "anna_2", "аnna", "Ian", "lan"][usize::from(wish)]);
                    if roster.enter(key(who), &wished, LinkNo(links), None).is_ok() {
                        last[usize::from(who)] = LinkNo(links);
                    }
                }
                Step::Drop(who) => roster.dropped(now, key(who), last[usize::from(who)]),
                Step::Bye(who) => roster.bye(key(who), last[usize::from(who)]),
                Step::Wait(seconds) => {
                    now += Duration::from_secs(seconds);
                    roster.expire(now);
                }
                Step::Read(reader) => readers[reader].read(&roster),
            }
            check(&roster);
        }
    }
}
