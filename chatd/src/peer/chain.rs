//! The hash chain over one author's entries. Equal chains mean equal prefixes, whatever the numbering is called.

use proto::ids::{Chain, Key, Mid, Pos, WallMs};
use proto::ipc::EntryKind;
use ring::digest::{Context, SHA256, digest};

/// Chain before the first entry that `author` makes in the session of `author` and `other`.
pub fn start(author: &Key, other: &Key) -> Chain {
    let (lesser, greater) = if author < other { (author, other) } else { (other, author) };
    let mut context = Context::new(&SHA256);
    context.update(b"chat/session/1");
    context.update(&lesser.0);
    context.update(&greater.0);
    let session = context.finish();
    let mut context = Context::new(&SHA256);
    context.update(b"chat/chain/1");
    context.update(session.as_ref());
    context.update(&author.0);
    finish(context)
}

/// Chain after one more entry. `text` is empty and `seen` is 0 for kinds that have none.
pub fn extend(chain: &Chain, mid: Mid, kind: EntryKind, at: WallMs, text: &str, seen: Pos) -> Chain {
    let (kind, body) = match kind {
        EntryKind::Opened => (1, digest(&SHA256, b"")),
        EntryKind::Closed => (3, digest(&SHA256, &seen.0.to_be_bytes())),
        _ => (2, digest(&SHA256, text.as_bytes())),
    };
    let mut context = Context::new(&SHA256);
    context.update(&chain.0);
    context.update(&mid.0);
    context.update(&[kind]);
    context.update(&at.0.to_be_bytes());
    context.update(body.as_ref());
    finish(context)
}

fn finish(context: Context) -> Chain {
    let mut bytes = [0; Chain::LEN];
    bytes.copy_from_slice(context.finish().as_ref());
    Chain(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_author_of_a_session_has_a_chain_of_its_own() {
        let (anna, bobby) = (Key([1; 32]), Key([2; 32]));
        assert_ne!(start(&anna, &bobby), start(&bobby, &anna));
    }

    /// The worked example of `proto/PROTOCOL.md`, "Positions, epochs, chains".
    #[test]
    fn the_chain_is_that_of_the_specification() {
        let key = |text| Key::parse(text).expect("key");
        let mid = |text| Mid::parse(text).expect("mid");
        let anna = key("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        let bobby = key("PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw");
        let none = Pos::START;
        let entries = [
            ("AaICssV7EBESExQVFhcYGQ", EntryKind::Opened, 1_795_341_600_123, ""),
            ("AaICss1LICEiIyQlJicoKQ", EntryKind::Text, 1_795_341_602_123, "hello"),
            ("AaICs6_bMDEyMzQ1Njc4OQ", EntryKind::Closed, 1_795_341_660_123, ""),
        ];
        let mut chain = start(&anna, &bobby);
        assert_eq!(chain.to_string(), "Z0_hPaLcCwm4mL5cCF0rYM3hHGNNweB0k9tvk28D54M");
        for (id, kind, at, text) in entries {
            chain = extend(&chain, mid(id), kind, WallMs(at), text, none);
        }
        assert_eq!(chain.to_string(), "NnKc2LXJELTozxEtqwo9cntKCY7_bB1g-otcraZsoJ0");
    }
}
