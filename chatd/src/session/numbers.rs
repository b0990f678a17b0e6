//! Which number a session gets.

use std::collections::BTreeSet;

use proto::ids::SessionNo;

/// The lowest number that no session holds. 0 is the lobby's, always.
pub fn lowest_free(taken: &BTreeSet<SessionNo>) -> SessionNo {
    let mut number = SessionNo(1);
    while taken.contains(&number) {
        number.0 += 1;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_were_given_back_are_used_again() {
        let taken = |numbers: &[u32]| numbers.iter().copied().map(SessionNo).collect();
        assert_eq!(lowest_free(&taken(&[])), SessionNo(1));
        assert_eq!(lowest_free(&taken(&[1, 2, 4])), SessionNo(3));
    }
}
