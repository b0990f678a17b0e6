//! The commands of the prompt. One table drives parsing, help and completion.

use std::fmt::Write as _;

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Who is in the lobby.
    Users,
    /// Opens a private session.
    Fork,
    /// Lists sessions.
    Sessions,
    /// Makes a session active.
    Switch,
    /// Makes the lobby active.
    Lobby,
    /// Ends the active private session.
    Leave,
    /// Older lines.
    History,
    /// Finds lines.
    Search,
    /// Says yes to a stranger.
    Accept,
    /// Says no to one.
    Decline,
    /// Hears of somebody no more.
    Block,
    /// Hears of somebody again.
    Unblock,
    /// Whom one hears of no more.
    Blocks,
    /// Knows somebody no more.
    Forget,
    /// The code to compare.
    Verify,
    /// Accepts a new key.
    Trust,
    /// Who one is.
    Whoami,
    /// Leaves the screen.
    Detach,
    /// Signs off.
    Quit,
    /// The commands.
    Help,
}

/// What stands behind a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    /// Nothing.
    None,
    /// A person in the lobby.
    User,
    /// A person, and `ok` or nothing.
    UserOk,
    /// A session, by number or name.
    Session,
    /// A number, or nothing.
    Count,
    /// Free words.
    Words,
    /// A command, or nothing.
    Command,
}

/// One row of the table.
#[derive(Debug)]
pub struct Spec {
    /// What it does.
    pub verb: Verb,
    /// Without the backslash; the first one is shown first.
    pub names: &'static [&'static str],
    /// What stands behind it.
    pub arg: Arg,
    /// How that is shown in the help; empty where there is nothing.
    pub usage: &'static str,
    /// One row of help.
    pub short: &'static str,
    /// More help, shown by `\help COMMAND`.
    pub long: &'static str,
}

const fn spec(
    verb: Verb,
    names: &'static [&'static str],
    (arg, usage): (Arg, &'static str),
    short: &'static str,
    long: &'static str,
) -> Spec {
    Spec { verb, names, arg, usage, short, long }
}

/// Every command, in the order of the help.
pub const TABLE: &[Spec] = &[
    spec(
        Verb::Users,
        &["users"],
        (Arg::None, ""),
        "who is in the lobby",
        "Works from the lobby only; go there with: \\lob",
    ),
    spec(
        Verb::Fork,
        &["fork"],
        (Arg::User, "NAME"),
        "opens a private session with NAME and switches to it",
        "Works from the lobby only. Nobody but the two of you can read a private session; it goes on when\n\
         the lobby is gone, and lines wait for a peer who is away. \\leave ends it for both.",
    ),
    spec(
        Verb::Sessions,
        &["sessions", "ss"],
        (Arg::None, ""),
        "lists the sessions, * before the active one",
        "Behind a session stands what is unread, what is queued for the peer, and whether the peer is away.",
    ),
    spec(
        Verb::Switch,
        &["switch", "sw"],
        (Arg::Session, "N|NAME"),
        "makes session N, or the one with NAME, active",
        "What you type goes to the active session; the prompt shows it. 0 is the lobby.",
    ),
    spec(Verb::Lobby, &["lobby", "lob"], (Arg::None, ""), "back to the lobby", "The same as \\sw 0."),
    spec(
        Verb::Leave,
        &["leave"],
        (Arg::None, ""),
        "ends the active private session for both",
        "What was said stays in the history. To go away and keep the session: \\detach",
    ),
    spec(
        Verb::History,
        &["history"],
        (Arg::Count, "[N]"),
        "the last N lines of this session (20)",
        "At most 256; older ones with: chatctl history SESSION --limit N",
    ),
    spec(
        Verb::Search,
        &["search"],
        (Arg::Words, "WORDS"),
        "finds lines in all sessions, newest first",
        "Finds the messages that hold all the words; case does not count.",
    ),
    spec(
        Verb::Accept,
        &["accept"],
        (Arg::User, "NAME"),
        "says yes to a stranger who wants to talk with you",
        "NAME is known from then on and is not asked again; go there with: \\sw NAME",
    ),
    spec(
        Verb::Decline,
        &["decline"],
        (Arg::User, "NAME"),
        "says no; NAME may ask again",
        "NAME sees that the session has ended.",
    ),
    spec(
        Verb::Block,
        &["block"],
        (Arg::User, "NAME"),
        "ends what there is with NAME, who may not call again",
        "The key is blocked, whatever name it goes by. What NAME says in the lobby is still shown.",
    ),
    spec(Verb::Unblock, &["unblock"], (Arg::User, "NAME"), "lets NAME call again", ""),
    spec(Verb::Blocks, &["blocks"], (Arg::None, ""), "whom you have blocked", ""),
    spec(
        Verb::Forget,
        &["forget"],
        (Arg::User, "NAME"),
        "drops NAME's key and the history with NAME",
        "Said twice in a row, for it cannot be undone. The session must have ended. NAME is somebody new after that,\n\
         and keeps what was said on the other side.",
    ),
    spec(
        Verb::Verify,
        &["verify"],
        (Arg::UserOk, "NAME [ok]"),
        "the code to compare with NAME; ok: it is the same",
        "Both of you see the same digits, unless somebody stands between you. Compare them by another way:\n\
         a call, in person. Then: \\verify NAME ok",
    ),
    spec(
        Verb::Trust,
        &["trust"],
        (Arg::Session, "NAME|lobby"),
        "accepts the new key of NAME, after a warning",
        "Somebody with another key may be somebody else. Ask by another way first: a call, a message, in person.\n\
         What waits for the former key is not sent to the new one.",
    ),
    spec(Verb::Whoami, &["whoami"], (Arg::None, ""), "your name and your key's fingerprint", ""),
    spec(
        Verb::Detach,
        &["detach"],
        (Arg::None, ""),
        "leaves the screen; everything goes on (also Ctrl-D)",
        "Come back with: chatctl attach. You see then what you have missed.",
    ),
    spec(
        Verb::Quit,
        &["quit"],
        (Arg::None, ""),
        "signs off: ends private sessions, stops the daemon",
        "To leave the screen only: \\detach",
    ),
    spec(Verb::Help, &["help"], (Arg::Command, "[COMMAND]"), "this list, or more on one command", ""),
];

/// What a person typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typed<'a> {
    /// A message.
    Text(&'a str),
    /// A command and what stands behind it, trimmed.
    Command(Verb, &'a str),
}

/// Why a line is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// No such command.
    #[error(
        "There is no command \\{word}{}; the commands: \\help; to send it as text: \\\\{word}",
        .near.map_or(String::new(), |near| format!(", did you mean \\{near}?"))
    )]
    Unknown {
        /// As it was typed, without the backslash.
        word: String,
        /// The nearest command, if one is near.
        near: Option<&'static str>,
    },
    /// Something is missing or too much.
    #[error("The form is: \\{name} {usage}")]
    Form {
        /// The command.
        name: &'static str,
        /// What stands behind it.
        usage: &'static str,
    },
    /// More rows follow a command.
    #[error("A command stands on a row of its own; a text that begins with a backslash: \\\\text")]
    Rows,
}

/// Reads a line. A text that must begin with a backslash is typed with two.
pub fn parse(line: &str) -> Result<Typed<'_>, ParseError> {
    let Some(rest) = line.strip_prefix('\\') else { return Ok(Typed::Text(line)) };
    if rest.starts_with('\\') {
        return Ok(Typed::Text(rest));
    }
    let rest = rest.trim_end();
    if rest.contains('\n') {
        return Err(ParseError::Rows);
    }
    let (word, arg) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let arg = arg.trim();
    let Some(spec) = find(word) else {
        return Err(ParseError::Unknown { word: word.to_owned(), near: nearest(word) });
    };
    let good = match spec.arg {
        Arg::None => arg.is_empty(),
        Arg::User | Arg::Session => !arg.is_empty() && !arg.contains(char::is_whitespace),
        Arg::UserOk => match arg.split_once(char::is_whitespace) {
            Some((_, ok)) => ok.trim() == "ok",
            None => !arg.is_empty(),
        },
        Arg::Count => arg.is_empty() || arg.parse::<u32>().is_ok_and(|count| count > 0),
        Arg::Words => !arg.is_empty(),
        Arg::Command => !arg.contains(char::is_whitespace),
    };
    if good {
        Ok(Typed::Command(spec.verb, arg))
    } else {
        Err(ParseError::Form { name: spec.names[0], usage: spec.usage })
    }
}

/// The row of a command, by any of its names; case does not count.
pub fn find(word: &str) -> Option<&'static Spec> {
    TABLE.iter().find(|spec| spec.names.iter().any(|name| name.eq_ignore_ascii_case(word)))
}

/// The command that a mistyped word is nearest to; `None` where none is near.
fn nearest(word: &str) -> Option<&'static str> {
    // A word that is no command at all is not worth a large table of distances.
    if word.len() > 16 {
        return None;
    }
    let names = TABLE.iter().flat_map(|spec| spec.names.iter().copied());
    let (distance, name) = names.map(|name| (distance(name, word), name)).min_by_key(|pair| pair.0)?;
    (distance <= 2 && distance < name.len()).then_some(name)
}

/// Letters to insert, delete or replace to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = corner + usize::from(from != *to);
            corner = row[j + 1];
            row[j + 1] = replace.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The help: all commands on one screen, or more on one; `None` where there is no such command.
pub fn help(word: &str) -> Option<String> {
    let word = word.trim_start_matches('\\');
    let mut text = String::new();
    if word.is_empty() {
        for spec in TABLE {
            writeln!(text, " {:24} {}", form(spec), spec.short).ok()?;
        }
        text.push_str(
            "What does not begin with \\ is sent to the active session; \\\\text sends \\text.\n\
             Alt-Enter, or \\ at the end of a row, begins another row of the same message.\n\
             Ctrl-X and a digit switches to that session; what you have begun waits in the one you leave.",
        );
        return Some(text);
    }
    let spec = find(word)?;
    write!(text, " {:24} {}", form(spec), spec.short).ok()?;
    for row in spec.long.lines() {
        write!(text, "\n   {row}").ok()?;
    }
    Some(text)
}

fn form(spec: &Spec) -> String {
    let names: Vec<_> = spec.names.iter().map(|name| format!("\\{name}")).collect();
    format!("{} {}", names.join(", "), spec.usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_every_command_is_read_and_has_help() {
        for spec in TABLE {
            for name in spec.names {
                assert_eq!(find(name).map(|found| found.verb), Some(spec.verb));
                let help = help(name).expect("help");
                assert!(help.contains(spec.short), "{help}");
            }
        }
        assert!(help("").expect("help").lines().count() <= 23, "one screen");
    }

    #[test]
    fn lines_are_text_or_commands() {
        let command = |verb, arg| Ok(Typed::Command(verb, arg));
        assert_eq!(parse("hello \\sw 1"), Ok(Typed::Text("hello \\sw 1")));
        assert_eq!(parse("\\\\text"), Ok(Typed::Text("\\text")));
        assert_eq!(parse("\\sw  bobby "), command(Verb::Switch, "bobby"));
        assert_eq!(parse("\\LOB"), command(Verb::Lobby, ""));
        assert_eq!(parse("\\search two words"), command(Verb::Search, "two words"));
        assert_eq!(parse("\\history"), command(Verb::History, ""));
        assert!(matches!(parse("\\history x"), Err(ParseError::Form { .. })));
        assert_eq!(parse("\\verify bobby ok"), command(Verb::Verify, "bobby ok"));
        assert!(matches!(parse("\\verify bobby now"), Err(ParseError::Form { .. })));
        assert!(matches!(parse("\\fork"), Err(ParseError::Form { .. })));
        assert!(matches!(parse("\\users now"), Err(ParseError::Form { .. })));
        assert_eq!(parse("\\leave\nand more"), Err(ParseError::Rows));
    }

    #[test]
    fn a_mistyped_command_is_no_text_and_names_the_nearest() {
        let near = |line| match parse(line) {
            Err(ParseError::Unknown { near, .. }) => near,
            other => panic!("{other:?}"),
        };
        assert_eq!(near("\\usrs"), Some("users"));
        assert_eq!(near("\\frok bobby"), Some("fork"));
        assert_eq!(near("\\sessoins"), Some("sessions"));
        assert_eq!(near("\\"), None);
        assert_eq!(near("\\Приветствие"), None);
        let error = parse("\\usrs").expect_err("unknown").to_string();
        assert!(error.contains("did you mean \\users?"), "{error}");
    }
}
