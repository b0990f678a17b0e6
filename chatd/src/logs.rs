//! Logs: files that roll in the daemon's folder, and standard error for whoever runs it in the foreground.

use std::path::Path;

use anyhow::Context;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// Days that are kept.
const KEEP: usize = 7;

/// Begins to log. The guard writes what is left when it is dropped: keep it until the end of the program.
///
/// Files get all from `info` on (or what `RUST_LOG` says), standard error warnings only, with `verbose` more.
/// Messages of people and keys are never logged.
pub fn init(dir: &Path, verbose: u8) -> anyhow::Result<WorkerGuard> {
    let files = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("chatd")
        .filename_suffix("log")
        .max_log_files(KEEP)
        .build(dir)
        .with_context(|| format!("cannot write logs in {}", dir.display()))?;
    let (files, guard) = tracing_appender::non_blocking(files);
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let filter = EnvFilter::builder().with_default_directive(level.max(LevelFilter::INFO).into());
    tracing_subscriber::registry()
        .with(fmt::layer().with_writer(files).with_ansi(false).with_filter(filter.from_env_lossy()))
        .with(fmt::layer().with_writer(std::io::stderr).with_filter(level))
        .try_init()
        .context("cannot begin to log")?;
    log_panics();
    Ok(guard)
}

/// A panic in the background would be seen by nobody: it goes to the log as well.
fn log_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!(%panic, "this is a bug");
        before(panic);
    }));
}
