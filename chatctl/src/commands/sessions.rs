//! `sessions [--all]`: lists the sessions.

use proto::ipc::SessionState;

use super::Scope;
use crate::cli::Global;
use crate::failure::Failure;
use crate::json::Session;
use crate::output::Output;
use crate::{locate, render};

pub(super) async fn run(global: &Global, scope: Scope) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    let output = Output::new(global);
    let state = client.state().await?;
    let rows = state.sessions.iter();
    rows.filter(|row| scope == Scope::All || row.state != SessionState::Ended).try_for_each(|row| {
        if output.json {
            output.object(&Session::of(row))
        } else {
            output.line(&render::session_row(row, None))
        }
    })
}
