//! What Tab offers: commands, names of people, sessions.

use proto::ids::SessionNo;

use super::commands::{Arg, TABLE, find};

/// What can be completed besides the commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// People in the lobby, as far as they are known; those who look like others are marked.
    pub users: Vec<Offer>,
    /// Sessions with a number.
    pub sessions: Vec<(SessionNo, String)>,
}

/// Something that a word can become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// What is put in.
    pub word: String,
    /// What is shown beside it; empty: nothing.
    pub note: String,
}

impl From<String> for Offer {
    fn from(word: String) -> Self {
        Self { word, note: String::new() }
    }
}

impl From<&str> for Offer {
    fn from(word: &str) -> Self {
        word.to_owned().into()
    }
}

/// Where the word begins that `pos` ends, and what it can become.
pub fn complete(line: &str, pos: usize, words: &Words) -> (usize, Vec<Offer>) {
    let Some(typed) = line.get(..pos).filter(|typed| typed.starts_with('\\')) else {
        return (pos, Vec::new());
    };
    match typed.split_once(' ') {
        None => (0, commands(&typed[1..])),
        Some((command, arg)) => {
            let arg_at = pos - arg.trim_start().len();
            let arg = arg.trim_start();
            let found = find(&command[1..]).map_or(Vec::new(), |spec| arguments(spec.arg, arg, words));
            (arg_at, found)
        }
    }
}

fn commands(start: &str) -> Vec<Offer> {
    let specs = TABLE.iter().flat_map(|spec| spec.names.iter().map(move |name| (name, spec)));
    let found = specs.filter(|(name, _)| begins(name, start));
    found
        .map(|(name, spec)| format!("\\{name}{}", if spec.arg == Arg::None { "" } else { " " }).into())
        .collect()
}

fn arguments(arg: Arg, start: &str, words: &Words) -> Vec<Offer> {
    let offered: Vec<Offer> = match arg {
        Arg::User | Arg::UserOk => words.users.clone(),
        Arg::Session => {
            let numbers = words.sessions.iter().map(|(number, _)| number.to_string().into());
            let names = words.sessions.iter().map(|(_, name)| name.clone().into());
            if start.is_empty() { numbers.collect() } else { numbers.chain(names).collect() }
        }
        Arg::Command => TABLE.iter().map(|spec| spec.names[0].into()).collect(),
        Arg::None | Arg::Count | Arg::Words => Vec::new(),
    };
    offered.into_iter().filter(|offer| begins(&offer.word, start)).collect()
}

fn begins(word: &str, start: &str) -> bool {
    word.to_lowercase().starts_with(&start.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(line: &str) -> (usize, Vec<Offer>) {
        let words = Words {
            users: vec!["bobby".into(), "Boris".into(), "анна".into()],
            sessions: vec![(SessionNo(0), "lobby".into()), (SessionNo(1), "bobby".into())],
        };
        complete(line, line.len(), &words)
    }

    #[test]
    fn tab_completes_commands_names_and_sessions() {
        let owned = |words: &[&str]| words.iter().map(|word| Offer::from(*word)).collect::<Vec<_>>();
        assert_eq!(offers("\\fo"), (0, owned(&["\\fork ", "\\forget "])));
        assert_eq!(offers("\\s"), (0, owned(&["\\sessions", "\\ss", "\\switch ", "\\sw ", "\\search "])));
        assert_eq!(offers("\\fork bo"), (6, owned(&["bobby", "Boris"])));
        assert_eq!(offers("\\fork ан"), (6, owned(&["анна"])));
        assert_eq!(offers("\\sw "), (4, owned(&["0", "1"])));
        assert_eq!(offers("\\sw b"), (4, owned(&["bobby"])));
        assert_eq!(offers("\\help hi"), (6, owned(&["history"])));
    }

    #[test]
    fn text_is_not_completed() {
        assert_eq!(offers("bo").1, Vec::<Offer>::new());
        assert_eq!(offers("\\nonsense b").1, Vec::<Offer>::new());
    }
}
