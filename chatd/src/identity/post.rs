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

/// Whether this key has said that, in this lobby.
pub fn is_signed(author: &Key, lobby: &Key, mid: Mid, at: WallMs, text: &Text, sig: &Signature) -> bool {
    let author = UnparsedPublicKey::new(&ED25519, author.0);
    author.verify(&signed_bytes(lobby, mid, at, text), &sig.0).is_ok()
}

/// Whether an entry of this lobby is what its author has said.
pub fn is_genuine(entry: &RoomEntry, lobby: &Key) -> bool {
    is_signed(&entry.from.key, lobby, entry.mid, entry.at, &entry.text, &entry.sig)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_author_lobby_and_words_only() {
        let (anna, bobby) = (Identity::ephemeral().expect("key"), Identity::ephemeral().expect("key"));
        let (lobby, mid, at) = (Key([3; 32]), Mid([4; 16]), WallMs(5));
        let text = Text::new("at nine").expect("text");
        let sig = anna.sign_post(&lobby, mid, at, &text);
        assert!(is_signed(&anna.key(), &lobby, mid, at, &text, &sig));
        assert!(!is_signed(&bobby.key(), &lobby, mid, at, &text, &sig), "somebody else");
        assert!(!is_signed(&anna.key(), &Key([9; 32]), mid, at, &text, &sig), "another lobby");
        assert!(!is_signed(&anna.key(), &lobby, Mid([9; 16]), at, &text, &sig), "another message");
        assert!(!is_signed(&anna.key(), &lobby, mid, WallMs(6), &text, &sig), "another time");
        let other = Text::new("at ten").expect("text");
        assert!(!is_signed(&anna.key(), &lobby, mid, at, &other, &sig), "other words");
    }
}
