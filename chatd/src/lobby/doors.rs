//! Who may enter: a lobby that is not open lets in whom it let in before, and who brings an invitation.

use std::collections::{HashMap, HashSet};
use std::fmt;

use data_encoding::HEXLOWER;
use proto::ids::{Key, WallMs};
use proto::invitation::Token;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::config::Entry;
use super::keep::{Row, RowChange, RowId};
use super::roster::Refusal;

/// Most invitations that are kept.
const MAX_INVITATIONS: usize = 1_024;

/// Most keys that were let in by invitations and stay so.
const MAX_GUESTS: usize = 65_536;

/// Bytes of its hash that an operator calls an invitation by.
const ID_BYTES: usize = 4;

/// What is kept of a token: its SHA-256. A token has 128 random bits, so no slow hash is needed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenHash(pub(super) [u8; 32]);

impl TokenHash {
    pub(super) fn of(token: &Token) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &token.0).as_ref());
        Self(hash)
    }

    /// By which an operator calls the invitation. It opens nothing.
    pub(super) fn id(&self) -> String {
        HEXLOWER.encode(&self.0[..ID_BYTES])
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// What is left of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pass {
    /// How many more keys it lets in.
    pub(super) uses: u32,
    /// When it ends; `None`: never.
    pub(super) expires: Option<WallMs>,
}

/// There are as many invitations as are kept.
#[derive(Debug, thiserror::Error)]
#[error("there are {MAX_INVITATIONS} open invitations already: wait until some are used or expire")]
pub(super) struct TooMany;

/// Why no invitation was revoked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unrevoked {
    /// None is called that.
    #[error("there is no invitation {0}, see: lobbyd invitations")]
    Unknown(String),
    /// Two are, which takes a long time to happen.
    #[error("there are several invitations {0}: wait until one expires")]
    Ambiguous(String),
}

/// Why a key may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// The lobby is open, or the key was let in before.
    Free,
    /// By this invitation, of which it takes a use.
    By(TokenHash),
}

/// Invitations, and whom they let in.
#[derive(Debug)]
pub(super) struct Doors {
    entry: Entry,
    passes: HashMap<TokenHash, Pass>,
    guests: HashSet<Key>,
    changes: Vec<RowChange>,
}

impl Doors {
    pub(super) fn new(entry: Entry, guests: HashSet<Key>, passes: HashMap<TokenHash, Pass>) -> Self {
        Self { entry, passes, guests, changes: Vec::new() }
    }

    /// Whether a key may come in. Nothing is used up yet: the room may be full.
    pub(super) fn admit(&self, key: Key, token: Option<&Token>, now: WallMs) -> Result<Admission, Refusal> {
        if self.entry == Entry::Open || self.guests.contains(&key) {
            return Ok(Admission::Free);
        }
        let (hash, pass) = self.find(token.ok_or(Refusal::Uninvited)?).ok_or(Refusal::UnknownInvitation)?;
        if pass.expires.is_some_and(|expires| expires <= now) {
            return Err(Refusal::ExpiredInvitation);
        }
        if pass.uses == 0 {
            return Err(Refusal::UsedInvitation);
        }
        if self.guests.len() >= MAX_GUESTS {
            return Err(Refusal::Full);
        }
        Ok(Admission::By(hash))
    }

    /// Looks at all of them, and at all bytes of each, so that the time tells nothing.
    fn find(&self, token: &Token) -> Option<(TokenHash, Pass)> {
        let given = TokenHash::of(token);
        let mut found = None;
        for (hash, pass) in &self.passes {
            if bool::from(hash.0.ct_eq(&given.0)) {
                found = Some((*hash, *pass));
            }
        }
        found
    }

    /// The key is in: the use of its invitation counts.
    pub(super) fn let_in(&mut self, key: Key, admission: Admission) {
        let Admission::By(hash) = admission else { return };
        if let Some(pass) = self.passes.get_mut(&hash) {
            pass.uses = pass.uses.saturating_sub(1);
            self.changes.push((RowId::Invitation(hash), Some(Row::Invitation(*pass))));
        }
        if self.guests.insert(key) {
            self.changes.push((RowId::Guest(key), Some(Row::Guest)));
        }
    }

    /// Makes an invitation. Ones that let nobody in any more make room for it.
    pub(super) fn invite(&mut self, token: &Token, pass: Pass, now: WallMs) -> Result<(), TooMany> {
        if self.passes.len() >= MAX_INVITATIONS {
            let over = |pass: &Pass| pass.uses == 0 || pass.expires.is_some_and(|expires| expires <= now);
            let gone = self.passes.extract_if(|_, pass| over(pass));
            self.changes.extend(gone.map(|(hash, _)| (RowId::Invitation(hash), None)));
        }
        if self.passes.len() >= MAX_INVITATIONS {
            return Err(TooMany);
        }
        let hash = TokenHash::of(token);
        self.passes.insert(hash, pass);
        self.changes.push((RowId::Invitation(hash), Some(Row::Invitation(pass))));
        Ok(())
    }

    /// The invitations that still let somebody in, those that end first before the others.
    pub(super) fn open_passes(&self, now: WallMs) -> Vec<(TokenHash, Pass)> {
        let open = |pass: &Pass| pass.uses > 0 && pass.expires.is_none_or(|expires| expires > now);
        let mut passes: Vec<_> =
            self.passes.iter().filter(|(_, pass)| open(pass)).map(|(hash, pass)| (*hash, *pass)).collect();
        passes.sort_by_key(|(hash, pass)| (pass.expires.is_none(), pass.expires, hash.0));
        passes
    }

    /// An invitation lets nobody in any more. Whom it let in stays let in.
    pub(super) fn revoke(&mut self, id: &str) -> Result<(), Unrevoked> {
        let mut meant = self.passes.keys().filter(|hash| hash.id().eq_ignore_ascii_case(id)).copied();
        let hash = meant.next().ok_or_else(|| Unrevoked::Unknown(id.to_owned()))?;
        if meant.next().is_some() {
            return Err(Unrevoked::Ambiguous(id.to_owned()));
        }
        self.passes.remove(&hash);
        self.changes.push((RowId::Invitation(hash), None));
        Ok(())
    }

    /// The rows that have changed since the last call.
    pub(super) fn take_changes(&mut self) -> Vec<RowChange> {
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallMs = WallMs(1_000);
    const OURS: Token = Token([1; 16]);

    fn doors(uses: u32, expires: Option<u64>) -> Doors {
        let mut doors = Doors::new(Entry::Invited, HashSet::new(), HashMap::new());
        doors.invite(&OURS, Pass { uses, expires: expires.map(WallMs) }, NOW).expect("invites");
        doors
    }

    fn enter(doors: &mut Doors, n: u8, token: Option<&Token>) -> Result<Admission, Refusal> {
        let admission = doors.admit(Key([n; 32]), token, NOW)?;
        doors.let_in(Key([n; 32]), admission);
        Ok(admission)
    }

    #[test]
    fn an_invitation_lets_in_as_many_keys_as_it_is_for_and_they_stay_in() {
        let mut doors = doors(2, None);
        assert_eq!(enter(&mut doors, 1, None), Err(Refusal::Uninvited));
        assert!(matches!(enter(&mut doors, 1, Some(&OURS)), Ok(Admission::By(_))));
        assert_eq!(enter(&mut doors, 1, Some(&OURS)), Ok(Admission::Free), "the same key again takes no use");
        assert_eq!(enter(&mut doors, 1, None), Ok(Admission::Free));
        assert!(matches!(enter(&mut doors, 2, Some(&OURS)), Ok(Admission::By(_))));
        assert_eq!(enter(&mut doors, 3, Some(&OURS)), Err(Refusal::UsedInvitation));
        assert_eq!(enter(&mut doors, 2, None), Ok(Admission::Free));
    }

    #[test]
    fn a_guess_an_expired_and_a_guest_of_an_expired_one() {
        let mut doors = doors(9, Some(1_001));
        assert_eq!(enter(&mut doors, 1, Some(&Token([2; 16]))), Err(Refusal::UnknownInvitation));
        assert!(enter(&mut doors, 1, Some(&OURS)).is_ok());
        let later = |n| doors.admit(Key([n; 32]), Some(&OURS), WallMs(1_001));
        assert_eq!(later(2), Err(Refusal::ExpiredInvitation));
        assert_eq!(later(1), Ok(Admission::Free));
    }

    #[test]
    fn a_revoked_invitation_lets_nobody_in_and_its_guests_stay() {
        let mut doors = doors(9, None);
        doors.invite(&Token([2; 16]), Pass { uses: 0, expires: None }, NOW).expect("invites");
        assert!(enter(&mut doors, 1, Some(&OURS)).is_ok());
        let open = doors.open_passes(NOW);
        assert_eq!(open.len(), 1, "a used one is not listed");
        let id = open[0].0.id();
        assert_eq!(doors.revoke("00"), Err(Unrevoked::Unknown("00".to_owned())));
        doors.take_changes();
        assert_eq!(doors.revoke(&id.to_uppercase()), Ok(()));
        assert_eq!(doors.take_changes(), [(RowId::Invitation(TokenHash::of(&OURS)), None)]);
        assert_eq!(enter(&mut doors, 2, Some(&OURS)), Err(Refusal::UnknownInvitation));
        assert_eq!(enter(&mut doors, 1, None), Ok(Admission::Free));
    }

    #[test]
    fn an_open_lobby_uses_nothing_up() {
        let mut doors = doors(1, None);
        doors.entry = Entry::Open;
        doors.take_changes();
        assert_eq!(enter(&mut doors, 1, Some(&OURS)), Ok(Admission::Free));
        assert!(doors.take_changes().is_empty() && doors.guests.is_empty());
    }

    #[test]
    fn used_and_expired_invitations_make_room_and_living_ones_do_not() {
        let mut doors = doors(0, None);
        for n in 1..MAX_INVITATIONS {
            let mut token = [3; 16];
            token[..8].copy_from_slice(&n.to_be_bytes());
            doors.invite(&Token(token), Pass { uses: 1, expires: None }, NOW).expect("room");
        }
        doors.invite(&Token([8; 16]), Pass { uses: 1, expires: None }, NOW).expect("the used one goes");
        assert!(doors.invite(&Token([9; 16]), Pass { uses: 1, expires: None }, NOW).is_err());
        assert_eq!(doors.passes.len(), MAX_INVITATIONS);
        assert!(!format!("{doors:?}").contains("3, 3, 3"), "no hash is shown");
    }
}
