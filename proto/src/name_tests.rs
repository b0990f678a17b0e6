use super::*;

#[test]
fn letters_of_any_script_make_a_name() {
    for good in [
        "anna",
        "Bobby.7",
        "анна",
        "李小龍",
        "a",
        "x_-.",
        "हिन्दी",
        "ชื่อ",
        "שרה",
        "عمر٣",
        "Nguyễn",
        &"ä".repeat(32),
    ] {
        assert_eq!(Name::new(good).expect(good).as_str(), good);
    }
}

#[test]
fn what_could_be_taken_for_something_else_is_refused() {
    use NameError::{Character, Empty, Reserved, Start, TooLong};
    let long = "a".repeat(33);
    let cases = [
        ("", Empty),
        (long.as_str(), TooLong(33)),
        ("7up", Start),
        ("_anna", Start),
        ("anna ", Character(' ')),
        ("an\u{200b}na", Character('\u{200b}')),
        ("an\u{202e}na", Character('\u{202e}')),
        ("an\u{1b}[31mna", Character('\u{1b}')),
        ("an\nna", Character('\n')),
        ("a\u{3164}b", Character('\u{3164}')),
        ("a/b", Character('/')),
        ("a@b", Character('@')),
        ("x²", Character('²')),
        ("a\u{17b4}", Character('\u{17b4}')),
        ("ab\u{300}\u{301}", Character('\u{300}')),
        ("a\u{93f}", Character('\u{93f}')),
        ("\u{93f}क", Character('\u{93f}')),
        ("กิิ", Character('\u{e34}')),
        ("אa", NameError::Mixed),
        ("Lobby", Reserved("Lobby".into())),
        ("lоbby", Reserved("lоbby".into())),
        ("Iobby", Reserved("Iobby".into())),
    ];
    for (text, error) in cases {
        assert_eq!(Name::new(text), Err(error), "{text:?}");
    }
}

#[test]
fn a_suffix_never_makes_a_name_too_long() {
    let long = Name::new("é".repeat(32)).expect("32 letters");
    let other = long.with_suffix(12);
    assert!(Name::new(other.as_str()).is_ok());
    assert!(other.as_str().ends_with("_12"));
    assert_eq!(Name::new("anna").expect("name").with_suffix(2).as_str(), "anna_2");
}

#[test]
fn names_that_differ_by_case_are_one_name() {
    let folded = |text: &str| Name::new(text).expect(text).folded();
    assert_eq!(folded("Anna"), folded("aNNA"));
    assert_eq!(folded("АННА"), folded("анна"));
}

#[test]
fn spellings_of_one_name_become_one() {
    let form = |text: &str| Name::new(text).expect(text).to_string();
    assert_eq!(form("Zoe\u{308}"), "Zo\u{eb}");
    assert_eq!(form("ＡＮＮＡ"), "ANNA");
    assert_eq!(form("น้ำ"), "น\u{e49}\u{e4d}\u{e32}");
    assert_eq!(form(&form("น้ำ")), form("น้ำ"));
    assert_eq!(form(&"e\u{301}".repeat(32)), "é".repeat(32));
}

#[test]
fn regression_the_numbered_form_of_any_name_is_a_name() {
    for name in ["عمر٣", "שרה", "หนึ่ง", &"क्".repeat(16)] {
        let other = Name::new(name).expect(name).with_suffix(2);
        assert_eq!(Name::new(other.as_str()), Ok(other.clone()), "{name}");
        assert!(other.as_str().ends_with("_2") && !other.as_str().starts_with("member"), "{other}");
    }
}

#[test]
fn names_that_look_alike_are_found() {
    let name = |text: &str| Name::new(text).expect(text);
    let alike = [
        ("anna", "аnna"),
        ("anna", "ANNA"),
        ("alice", "a1ice"),
        ("alice", "аlice"),
        ("lan", "Ian"),
        ("bob0", "bobO"),
        ("arnold", "amold"),
        ("paypal", "раураl"),
        ("ian", "İan"),
        ("σας", "ΣΑΣ"),
    ];
    for (one, other) in alike {
        assert!(name(one).looks_like(&name(other)) && name(other).looks_like(&name(one)), "{one} {other}");
    }
    for (one, other) in
        [("anna", "hanna"), ("ian", "lan"), ("neil", "neli"), ("anna", "анна"), ("ana", "aña")]
    {
        assert!(!name(one).looks_like(&name(other)), "{one} {other}");
    }
    assert_eq!(name("σας").folded(), name("ΣΑΣ").folded());
}
