//! `users`: who is in the lobby.

use proto::ipc::{Call, Reply};

use crate::cli::Global;
use crate::client::unexpected;
use crate::failure::Failure;
use crate::json::User;
use crate::output::Output;
use crate::{locate, render};

pub(super) async fn run(global: &Global) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    let output = Output::new(global);
    let mut after = None;
    loop {
        let (users, more) = match client.call(Call::Users { after: after.take() }).await? {
            Reply::Users { users, more } => (users, more),
            reply => return Err(unexpected(&reply)),
        };
        for user in &users {
            if output.json {
                output.object(&User::of(user))?;
            } else {
                output.line(render::user_row(user).trim_start())?;
            }
        }
        after = users.last().map(|user| user.name.clone());
        if !more || after.is_none() {
            return Ok(());
        }
    }
}
