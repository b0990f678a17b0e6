//! What the chat costs on this machine, with the real daemons, in one table: `cargo bench -p chat-tests`.
//!
//! Everything that has to be durable waits for the disk, so each time is also given as a multiple of one flush of the
//! same disk, measured in the same run. `CHAT_LINES` sets the length of the long history (default: a million).
#![cfg(unix)]
// How to read a figure is what matters here, not its last digit.
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

mod history;
mod session;
mod table;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use chat_tests::World;
use table::{Table, median};

/// Flushes that are measured.
const FLUSHES: usize = 200;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let world = World::new();
    let mut table = Table::new(flush(world.path()));
    session::measure(&world, &mut table);
    history::measure(&world, &mut table);
    table.print();
}

/// What it costs to add a page to a file and have it on the disk.
fn flush(folder: &Path) -> Duration {
    let mut file = File::create(folder.join("flush")).expect("a file");
    let mut times = Vec::new();
    for _ in 0..FLUSHES {
        let begun = Instant::now();
        file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).expect("written");
        times.push(begun.elapsed());
    }
    median(&mut times)
}
