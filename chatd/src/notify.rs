//! Words to the service manager, where one listens.

/// Everything runs.
pub fn ready(status: &str) {
    send(State::Ready(status));
}

/// The end has begun.
pub fn stopping() {
    send(State::Stopping);
}

#[derive(Clone, Copy)]
enum State<'a> {
    Ready(&'a str),
    Stopping,
}

#[cfg(target_os = "linux")]
fn send(state: State<'_>) {
    use sd_notify::NotifyState;
    let told = match state {
        State::Ready(status) => sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)]),
        State::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
    };
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager was not told");
    }
}

#[cfg(not(target_os = "linux"))]
fn send(state: State<'_>) {
    match state {
        State::Ready(status) => tracing::debug!(status, "ready"),
        State::Stopping => tracing::debug!("stopping"),
    }
}
