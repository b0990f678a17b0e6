//! The line by which somebody is let into a lobby: where it is, which key it has, and a secret that opens it once.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::Key;

/// What a line begins with.
const SCHEME: &str = "chat://";

/// The secret of an invitation: 128 random bits. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(pub [u8; 16]);

impl Token {
    /// The form in which it travels: base64url without padding.
    fn encode(self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }

    fn decode(text: &str) -> Option<Self> {
        BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        // The error never quotes what may be a secret with a slip in it.
        Self::decode(&text)
            .ok_or_else(|| de::Error::custom("a token is 16 bytes as base64url without padding"))
    }
}

/// An invitation to a lobby: `chat://HOST:PORT/#KEY.TOKEN`.
///
/// What stands behind `#` is never sent to a server by a program that takes the line for a web address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Where the lobby is, `host:port`.
    pub addr: String,
    /// The lobby's key: whoever answers with another one is not the lobby that was meant.
    pub lobby: Key,
    /// What opens it.
    pub token: Token,
}

impl Invitation {
    /// The whole line, secret included. There is no `Display`: nobody shows it by accident.
    pub fn line(&self) -> String {
        format!("{SCHEME}{}/#{}.{}", self.addr, self.lobby, self.token.encode())
    }
}

/// Why a text is not an [`Invitation`]; never holds a part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// Not of this form at all.
    #[error("an invitation is a line like chat://chat.example.org:43210/#…, copied whole")]
    Form,
    /// No host or no port.
    #[error("the invitation names no place like chat.example.org:43210")]
    Place,
    /// The part behind `#` is cut or changed.
    #[error("the part of the invitation behind '#' is not whole: copy the line again")]
    Secret,
}

impl FromStr for Invitation {
    type Err = InvitationError;

    fn from_str(text: &str) -> Result<Self, InvitationError> {
        let rest = text.trim().strip_prefix(SCHEME).ok_or(InvitationError::Form)?;
        let (addr, secret) = rest.split_once("/#").ok_or(InvitationError::Form)?;
        if !is_host_port(addr) {
            return Err(InvitationError::Place);
        }
        let (lobby, token) = secret.split_once('.').ok_or(InvitationError::Secret)?;
        let lobby = Key::parse(lobby).map_err(|_| InvitationError::Secret)?;
        let token = Token::decode(token).ok_or(InvitationError::Secret)?;
        Ok(Self { addr: addr.to_owned(), lobby, token })
    }
}

/// A place to connect to: `host:port`, the host not empty and without anything that has no place in one.
pub fn is_host_port(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']' | '%');
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && host.chars().all(plain) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation() -> Invitation {
        Invitation { addr: "chat.example.org:43210".into(), lobby: Key([7; 32]), token: Token([9; 16]) }
    }

    #[test]
    fn a_line_says_where_who_and_the_secret() {
        let line = invitation().line();
        assert_eq!(
            line,
            "chat://chat.example.org:43210/#BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc.CQkJCQkJCQkJCQkJCQkJCQ"
        );
        assert_eq!(format!(" {line}\n").parse(), Ok(invitation()));
        let six = Invitation { addr: "[2001:db8::7]:5000".into(), ..invitation() };
        assert_eq!(six.line().parse(), Ok(six));
    }

    #[test]
    fn a_line_that_is_not_whole_is_told_without_being_quoted() {
        use InvitationError::{Form, Place, Secret};
        let line = invitation().line();
        let cases = [
            ("https://chat.example.org/", Form),
            ("chat.example.org:43210", Form),
            ("chat://chat.example.org/#a.b", Place),
            ("chat://a b:1/#a.b", Place),
            (line.trim_end_matches('Q'), Secret),
            (line.split_once('.').expect("dot").0, Form),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Invitation>(), Err(error), "{text}");
            assert!(!error.to_string().contains("CQkJ"), "{error}");
        }
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let text = format!("{:?}", invitation());
        assert!(text.contains("Token(…)") && !text.contains("CQkJ") && !text.contains("9, 9"), "{text}");
        let error = serde_json::from_str::<Token>("\"CQkJCQkJ\"").expect_err("too short").to_string();
        assert!(!error.contains("CQkJ"), "{error}");
    }
}
