//! A disk that fills up under a daemon, and has room again.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::process::Command;

use chat_tests::{Daemon, World};
use proto::ipc::SessionState;

/// Whether a disk of our own can be made here.
fn can_mount() -> bool {
    let made = rustix::process::geteuid().is_root()
        && Command::new("unshare")
            .args(["--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
            .status()
            .is_ok_and(|status| status.success());
    if !made {
        eprintln!(
            "skipped: only root can mount a small disk, and not everywhere; the core has its own tests"
        );
    }
    made
}

/// Takes all the room that there is.
fn fill(daemon: &Daemon) {
    let mut file = File::create(daemon.file("filler")).expect("a file");
    loop {
        match file.write(&[0; 4096]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_full_disk_is_told_costs_nothing_and_is_got_over() {
    if !can_mount() {
        return;
    }
    let world = World::new();
    let bobby = Daemon::start(&world, "bobby");
    bobby.in_lobby();
    let anna = Daemon::on_small_disk(&world, "anna", 8);
    anna.in_lobby();
    anna.ctl().ok(&["fork", "bobby"]);
    anna.connected_to("bobby");
    anna.ctl().ok(&["send", "bobby", "before", "--wait", "delivered"]);

    fill(&anna);
    let long = "x".repeat(60_000);
    let ran = anna.ctl().run(&["send", "bobby"], long.as_bytes());
    assert_eq!(
        (ran.code, ran.err.contains("not sent: the disk of your daemon is full")),
        (1, true),
        "{ran:?}"
    );
    assert_eq!(anna.ctl().texts("bobby"), ["before"], "reading goes on");
    let status = anna.ctl().ok(&["status"]);
    assert!(status.contains("the disk of your daemon is full"), "{status}");
    bobby.until("turned away", |state| {
        let row = state.session("anna").filter(|row| row.state == SessionState::Waiting)?;
        (row.trouble.as_deref() == Some("the other daemon is busy")).then_some(())
    });
    bobby.ctl().ok(&["send", "anna", "while it was full"]);
    assert_eq!(bobby.ctl().received("anna"), ["before"]);

    fs::remove_file(anna.file("filler")).expect("removes");
    anna.until("room again", |state| state.connected("bobby"));
    bobby.until("delivered", |state| (state.session("anna")?.queued == 0).then_some(()));
    assert_eq!(anna.ctl().received("bobby"), ["while it was full"]);
    assert_eq!(anna.ctl().run(&["send", "bobby", "--wait", "delivered"], long.as_bytes()).code, 0);
    assert_eq!(bobby.ctl().received("anna"), ["before", long.as_str()]);
    anna.in_lobby();
    assert_eq!(anna.ctl().rows(&["search", "while", "full"]).len(), 1);
}
