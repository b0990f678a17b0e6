//! What a person sees while others write: nothing steers the terminal, nobody passes for somebody else, and what is
//! being typed stays whole.
#![cfg(unix)]

use chat_tests::{Daemon, Screen, World};

/// anna on a terminal, bobby with a private session to her, both known to each other.
struct Pair {
    anna: Daemon,
    bobby: Daemon,
    _world: World,
}

impl Pair {
    fn new() -> Self {
        let world = World::new();
        let [anna, bobby] = Daemon::meet(&world, ["anna", "bobby"]);
        bobby.fork(&anna);
        Self { anna, bobby, _world: world }
    }

    /// anna's terminal in the session with bobby.
    fn in_session(&self) -> Screen {
        let screen = Screen::open(&self.anna.ctl().pty(&["attach", "bobby"]));
        screen.wait_for_prompt("[1 P~> bobby");
        screen
    }

    /// bobby says something that no command line could carry.
    fn bobby_says(&self, text: &str) {
        let ran = self.bobby.ctl().run(&["send", "anna", "--wait", "delivered"], text.as_bytes());
        assert_eq!(ran.code, 0, "{ran:?}");
    }
}

#[test]
fn what_steers_a_terminal_is_shown_and_never_obeyed() {
    let pair = Pair::new();
    let screen = pair.in_session();
    let hostile = [
        ("clear", "\u{1b}[2J\u{1b}[H", "\\x1b[2J\\x1b[H"),
        ("clipboard", "\u{1b}]52;c;ZXZpbA==\u{7}", "\\x1b]52;c;ZXZpbA==\\x07"),
        ("c1", "\u{9b}31m\u{90}q", "\\u{9b}31m\\u{90}q"),
        ("bell", "\u{7}\u{8}\u{7f}", "\\x07\\x08\\x7f"),
        ("bidi", "\u{202e}gpj.exe\u{2066}\u{200b}", "\\u{202e}gpj.exe\\u{2066}\\u{200b}"),
        ("return", "safe\rP~> <carol> I am carol", "safe\\rP~> <carol> I am carol"),
        ("tab", "a\tb", "a    b"),
    ];
    for (name, text, shown) in hostile {
        pair.bobby_says(&format!("{name} {text} end"));
        screen.wait_for(&format!("P~> <bobby> {name} {shown} end"));
    }
    screen.wait_for_prompt("[1 P~> bobby");
    let printed = screen.capture().printed();
    for raw in
        ["\u{1b}[2J", "\u{1b}]52", "\u{9b}", "\u{90}", "\u{7}", "\u{8}", "\u{7f}", "\u{202e}", "\u{2066}"]
    {
        assert!(!printed.contains(raw), "{raw:?} has reached the terminal");
    }
    // The log has it as it was said.
    assert_eq!(pair.anna.ctl().received("bobby")[0], "clear \u{1b}[2J\u{1b}[H end");
    // And `tail`, `history` and `search` on a terminal show it no other way.
    let raw = pair.anna.ctl().ok(&["history", "bobby"]) + &pair.anna.ctl().ok(&["search", "end"]);
    assert!(raw.contains("\\x1b[2J") && !raw.contains(['\u{1b}', '\u{9b}', '\u{7}', '\u{202e}', '\r']));
}

#[test]
fn no_row_of_a_message_can_pass_for_somebody_elses_line() {
    let pair = Pair::new();
    let screen = pair.in_session();
    let faked =
        ["P~> <carol> trust bobby", ">>> User anna has left", "< Session terminated, Peer bobby has left >"];
    pair.bobby_says(&format!("look:\n{}\n\n> carol: hi\r\nend", faked.join("\r\n")));
    // Long enough to wrap just before what is to stand at the left edge.
    pair.bobby_says(&format!("{}> carol: wrapped", "x ".repeat(200)));
    screen.wait_for("> carol: wrapped");
    screen.wait_for_prompt("[1 P~> bobby");
    let rows = screen.rows();
    let said = rows.iter().position(|row| row.ends_with("P~> <bobby> look:")).expect("the first row");
    for row in &rows[said + 1..rows.len() - 1] {
        assert!(row.starts_with("  |") || row.contains("P~> <bobby> "), "{row:?} in {rows:#?}");
    }
    for row in faked.iter().chain(&["> carol: hi"]) {
        assert!(rows.contains(&format!("  | {row}")), "{row:?} in {rows:#?}");
    }
}

#[test]
fn a_paste_of_a_thousand_rows_arrives_byte_equal_as_one_message() {
    let pair = Pair::new();
    let screen = pair.in_session();
    let rows = |number: usize| format!("row {number}: \\ends in a backslash\\ {}", "абв".repeat(number % 5));
    let text = (1..=1000).map(rows).collect::<Vec<_>>().join("\n");
    assert!(text.len() < proto::limits::MAX_TEXT_LEN);
    screen.paste(&text);
    screen.wait_for("row 1000:");
    screen.enter();
    pair.bobby.until("the paste", |state| (state.session("anna")?.unread > 0).then_some(()));
    let received = pair.bobby.ctl().received("anna");
    assert_eq!(received.len(), 1);
    assert!(received[0] == text, "it has {} bytes instead of {}", received[0].len(), text.len());
}

#[test]
fn rows_are_continued_by_alt_enter_and_by_a_backslash() {
    let pair = Pair::new();
    let screen = pair.in_session();
    screen.type_text("one");
    screen.key("\x1b\r");
    screen.key("two\\\r");
    screen.key("three");
    screen.wait_until("three rows", |capture| capture.cursor_row().starts_with("three"));
    screen.enter();
    pair.bobby.until("the rows", |state| (state.session("anna")?.unread == 1).then_some(()));
    assert_eq!(pair.bobby.ctl().received("anna"), ["one\ntwo\nthree"]);
}

#[test]
fn lines_that_come_in_leave_the_typed_line_whole() {
    const LINES: usize = 200;
    let pair = Pair::new();
    let screen = pair.in_session();
    let expected: Vec<String> = (1..=LINES).map(|number| format!("incoming {number}.")).collect();
    let script = expected.join("\n");
    let typed = "this line is typed while two hundred others arrive";
    std::thread::scope(|scope| {
        let ctl = pair.bobby.ctl();
        scope.spawn(move || assert_eq!(ctl.run(&["attach", "anna"], script.as_bytes()).code, 0));
        for (index, key) in typed.char_indices() {
            screen.key(&key.to_string());
            // Each key waits for some lines, so that the typing is spread over all of them.
            let lines = LINES * index / typed.len();
            if lines > 0 {
                screen.wait_for(&format!("> incoming {lines}."));
            }
        }
    });
    screen.wait_for(&format!("> incoming {LINES}."));
    screen.wait_until("the typed line", |capture| capture.cursor_row().contains(typed));
    screen.enter();
    pair.bobby.until("the typed line", |state| (state.session("anna")?.unread == 1).then_some(()));
    assert_eq!(pair.bobby.ctl().received("anna"), [typed]);
    let rows = screen.rows();
    let incoming: Vec<&str> =
        rows.iter().filter_map(|row| row.split_once("P~> <bobby> ")).map(|(_, text)| text).collect();
    assert_eq!(incoming, expected);
    assert_eq!(rows.iter().filter(|row| row.contains("this line")).count(), 1, "{rows:#?}");
}

#[test]
fn the_prompt_follows_a_switch_and_counts_what_is_unread_elsewhere() {
    let pair = Pair::new();
    let screen = pair.anna.screen();
    screen.wait_for(">>> Sessions: 1 bobby; to switch: \\sw NUMBER");
    screen.type_line("\\sw 1");
    screen.wait_for_prompt("[1 P~> bobby]");
    screen.type_line("\\lob");
    screen.wait_for_prompt("[0 lobby]");
    pair.bobby_says("psst");
    pair.bobby_says("are you there?");
    screen.next_prompt("[0 lobby | 1:2]");
    screen.type_line("\\sw bobby");
    screen.wait_for_prompt("[1 P~> bobby]");
    // What ends under a line that is being typed takes the prompt with it.
    screen.type_text("half a li");
    pair.bobby.ctl().ok(&["leave", "anna"]);
    screen.wait_for_prompt("[0 lobby]");
}

#[test]
fn a_text_that_is_too_long_is_refused_and_kept() {
    let pair = Pair::new();
    let screen = pair.in_session();
    let text = "y".repeat(proto::limits::MAX_TEXT_LEN);
    screen.paste(&format!("{text}z"));
    screen.wait_for("yz");
    screen.enter();
    screen.wait_for("Not sent: the text has 65537 bytes, a message holds at most 65536; send it in parts");
    // It stands at the prompt again: without its last letter it is sent.
    screen.wait_until("the text", |capture| capture.cursor_row().contains("yz"));
    screen.key("\x7f");
    screen.wait_until("one less", |capture| !capture.cursor_row().contains('z'));
    screen.enter();
    pair.bobby.until("the text", |state| (state.session("anna")?.unread == 1).then_some(()));
    let received = pair.bobby.ctl().received("anna");
    assert!(received == [text], "{} bytes", received[0].len());
}

#[test]
fn tab_completes_commands_and_names() {
    let pair = Pair::new();
    pair.anna.sees_users(2);
    let screen = pair.anna.screen();
    screen.type_text("\\sea");
    screen.key("\t");
    screen.wait_until("a command", |capture| capture.cursor_row().contains("\\search "));
    screen.key("\x15\\sw bo\t");
    screen.wait_until("a name", |capture| capture.cursor_row().contains("\\sw bobby"));
    screen.enter();
    screen.wait_for_prompt("[1 P~> bobby]");
}

#[test]
fn older_lines_and_found_lines_are_shown_again() {
    let pair = Pair::new();
    let screen = pair.in_session();
    for text in ["red apples", "green pears", "red pears"] {
        pair.bobby_says(text);
    }
    screen.wait_for("P~> <bobby> red pears");
    screen.type_line("\\history 2");
    screen.wait_for_times("P~> <bobby> red pears", 2);
    assert_eq!((screen.count("<bobby> red apples"), screen.count("<bobby> green pears")), (1, 2));
    screen.type_line("\\search RED");
    screen.wait_for("[1 bobby] <bobby> red apples");
    let rows = screen.rows();
    let place = |text: &str| rows.iter().position(|row| row.contains(text)).expect("found");
    assert!(place("[1 bobby] <bobby> red pears") < place("[1 bobby] <bobby> red apples"), "newest first");
    assert_eq!(screen.count("[1 bobby] <bobby> green"), 0);
}
