//! The programs under test, built from this very workspace.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Variables that `cargo test` sets for a test and that a build must not see, or build scripts would run again.
const NOT_FOR_A_BUILD: [&str; 5] =
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];

/// The path of `chatd`, `chatctl` or `lobbyd`. Builds all of them at its first call.
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build).join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

/// Builds into the folder from which this test runs, with the same profile.
fn build() -> PathBuf {
    let own = env::current_exe().expect("the path of this test");
    let folder = own.ancestors().nth(2).expect("TARGET/PROFILE/deps/TEST").to_owned();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(profile) => profile,
    };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "--workspace",
        "--bins",
        "--profile",
        profile,
        "--target-dir",
    ]);
    cargo.arg(folder.parent().expect("TARGET"));
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        let inner = name.to_str().is_some_and(|name| NOT_FOR_A_BUILD.iter().any(|set| name.starts_with(set)));
        if inner {
            cargo.env_remove(name);
        }
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "the programs cannot be built: {status}");
    folder
}
