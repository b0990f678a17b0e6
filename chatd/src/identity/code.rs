//! The digits that two people compare to know that nobody stands between them.

use proto::ids::Key;
use ring::digest::{Context, SHA512, digest};

/// Makes the recipe slow to search for a key with the digits of another, and is not felt by a person.
const ROUNDS: usize = 5_200;
/// Names the recipe, so that its digits are of no use to any other.
const LABEL: &[u8] = b"chat/verify/1";

/// The code of two keys, the same for both sides: 60 digits.
pub fn code(one: &Key, other: &Key) -> String {
    let mut halves = [half(one), half(other)];
    halves.sort_unstable();
    halves.concat()
}

/// 30 digits of one key.
fn half(key: &Key) -> String {
    let mut hash = digest(&SHA512, &[LABEL, &key.0, &key.0].concat());
    for _ in 1..ROUNDS {
        let mut next = Context::new(&SHA512);
        next.update(hash.as_ref());
        next.update(&key.0);
        hash = next.finish();
    }
    let group = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)) % 100_000;
    let groups: Vec<String> =
        hash.as_ref()[..30].chunks(5).map(|bytes| format!("{:05}", group(bytes))).collect();
    groups.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_see_the_same_digits_and_those_of_the_specification() {
        let anna = Key::parse("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").expect("key");
        let bobby = Key::parse("PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw").expect("key");
        let shown = code(&anna, &bobby);
        assert_eq!(shown, code(&bobby, &anna));
        let groups: Vec<&str> = include_str!("../../../proto/PROTOCOL.md")
            .lines()
            .find_map(|line| line.strip_prefix("| code of anna and bobby | `")?.strip_suffix("` |"))
            .expect("the worked example")
            .split(' ')
            .collect();
        assert_eq!((shown, 12), (groups.concat(), groups.len()));
        assert_ne!(code(&anna, &bobby), code(&anna, &Key([1; 32])));
    }
}
