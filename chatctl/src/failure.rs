//! What can go wrong, each with the exit code that a script sees.

use std::io;

use proto::ipc::{CallError, ErrorCode};

/// Why a command was not done. The message says what happened, to what, and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Anything that has no code of its own.
    #[error("{0}")]
    Failed(String),
    /// The command line makes no sense here.
    #[error("{0}")]
    Usage(String),
    /// No daemon answers.
    #[error("{0}")]
    NoDaemon(String),
    /// No such session or peer.
    #[error("{0}")]
    NotFound(String),
    /// The time given has passed.
    #[error("{0}")]
    TimedOut(String),
    /// Nobody reads standard output any more.
    #[error("standard output is closed")]
    ClosedPipe,
}

impl Failure {
    /// The exit code: a contract with scripts.
    pub fn code(&self) -> u8 {
        match self {
            Self::ClosedPipe => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NoDaemon(_) => 3,
            Self::NotFound(_) => 4,
            Self::TimedOut(_) => 5,
        }
    }

    /// The reader of standard output has had enough, which is no error.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::ClosedPipe)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error.code {
            ErrorCode::NoSession | ErrorCode::NoPeer => Self::NotFound(error.message),
            _ => Self::Failed(error.message),
        }
    }
}

/// For errors of standard output only.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Failed(format!("unable to write to standard output: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_peer_and_a_missing_session_have_a_code_of_their_own() {
        let code = |code| Failure::from(CallError { code, message: String::new() }).code();
        assert_eq!(code(ErrorCode::NoPeer), 4);
        assert_eq!(code(ErrorCode::NoSession), 4);
        assert_eq!(code(ErrorCode::SelfFork), 1);
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.is_closed_pipe());
        assert_eq!(failure.code(), 0);
    }
}
