//! The signature under what somebody says in a lobby.

use proto::ids::{Key, Mid, Signature, WallMs};
use proto::lobby::{RoomEntry, signed_bytes};
use proto::text::Text;
use ring::signature::{ED25519, UnparsedPublicKey};

use super::Identity;

impl Identity {
    /// Signs what is said in this lobby.
    pub fn sign_post(&self, lobby: &Key, mid: Mid, at: WallMs, text: &Text) -> Signature {
        let signature = self.pair.sign(&signed_bytes(lobby, mid, at, text));
        let mut bytes = [0; Signature::LEN];
        bytes.copy_from_slice(signature.as_ref()); // Ed25519 signatures have this length
        Signature(bytes)
    }
}

/// Whether an entry of this lobby is what its author has said.
pub fn is_genuine(entry: &RoomEntry, lobby: &Key) -> bool {
    let author = UnparsedPublicKey::new(&ED25519, entry.from.key.0);
    author.verify(&signed_bytes(lobby, entry.mid, entry.at, &entry.text), &entry.sig.0).is_ok()
}

#[cfg(test)]
mod tests {
    use proto::ids::LobbySeq;
    use proto::lobby::Member;
    use proto::name::Name;

    use super::*;

    #[test]
    fn a_signature_holds_for_its_author_lobby_and_words_only() {
        let (anna, bobby) = (Identity::ephemeral().expect("key"), Identity::ephemeral().expect("key"));
        let (lobby, mid, at) = (Key([3; 32]), Mid([4; 16]), WallMs(5));
        let text = Text::new("at nine").expect("text");
        let sig = anna.sign_post(&lobby, mid, at, &text);
        let from = |who: &Identity| Member { key: who.key(), name: Name::new("anna").expect("name") };
        let said = RoomEntry { seq: LobbySeq(1), from: from(&anna), mid, at, text, sig };
        assert!(is_genuine(&said, &lobby));
        assert!(!is_genuine(&RoomEntry { from: from(&bobby), ..said.clone() }, &lobby), "somebody else");
        assert!(!is_genuine(&said, &Key([9; 32])), "another lobby");
        assert!(!is_genuine(&RoomEntry { mid: Mid([9; 16]), ..said.clone() }, &lobby), "another message");
        assert!(!is_genuine(&RoomEntry { at: WallMs(6), ..said.clone() }, &lobby), "another time");
        let other = Text::new("at ten").expect("text");
        assert!(!is_genuine(&RoomEntry { text: other, ..said }, &lobby), "other words");
    }
}
