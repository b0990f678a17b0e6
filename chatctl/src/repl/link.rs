//! Gets the link to a daemon back.

use std::path::Path;
use std::time::Duration;

use crate::client::Client;

/// First pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Tries until the daemon answers again.
pub async fn again(socket: &Path) -> Client {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Ok(client) = Client::connect(socket).await {
            return client;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
