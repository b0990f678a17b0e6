//! `status`: how the daemon and its lobby are.

use proto::display;
use proto::ipc::DaemonRow;

use crate::cli::Global;
use crate::failure::Failure;
use crate::json::{self, Status};
use crate::output::Output;
use crate::{locate, render};

pub(super) async fn run(global: &Global) -> Result<(), Failure> {
    let mut client = locate::connect(global).await?;
    let output = Output::new(global);
    let state = client.state().await?;
    let Some(daemon) = &state.daemon else {
        return Err(Failure::Failed(
            "the daemon said nothing about itself; is it older than chatctl?".into(),
        ));
    };
    if output.json {
        return output.object(&Status::of(daemon, &state));
    }
    lines(daemon).iter().try_for_each(|line| output.line(line))?;
    let (sessions, queued) = (json::open_sessions(&state), json::queued(&state));
    output.line(&format!("sessions     {sessions} private, {queued} lines queued"))
}

fn lines(daemon: &DaemonRow) -> Vec<String> {
    let lobby = &daemon.lobby;
    let hosted = if lobby.hosted { ", hosted here" } else { "" };
    let trouble = lobby.trouble.as_ref().map_or(String::new(), |why| format!(" ({})", display::line(why)));
    let mut lines = vec![
        format!("name         {}", daemon.name),
        format!("fingerprint  {}", display::line(&daemon.fingerprint)),
        format!(
            "lobby        {} {}{hosted}{trouble}",
            display::line(&lobby.addr),
            render::lobby_state(lobby.state)
        ),
        format!("daemon       version {}, process {}", display::line(&daemon.version), daemon.pid),
        format!("attached     {}", daemon.attached),
    ];
    lines.extend(daemon.requests.iter().map(|peer| format!("asks         {}", render::request(peer))));
    lines
}
