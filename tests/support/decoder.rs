//! The decode process as a program.

use super::House;
use super::database::Database;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The program, built as the tests are: cargo builds a package's programs only for that
/// package's own tests.
pub fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let tests = std::env::current_exe().unwrap();
        let folder = tests.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--locked", "--package", "decode", "--target-dir"]);
        cargo.arg(folder.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "the decode process is not built");
        folder.join("sharp-eyes-decode")
    };
    PROGRAM.get_or_init(build).clone()
}

/// A house with a decode process, and more settings for it.
pub async fn house(more: &str) -> House {
    let program = tokio::task::spawn_blocking(program).await.unwrap();
    let settings = format!("[decode]\nprogram = \"{}\"\n{more}", program.display());
    House::start_with(Database::Sqlite, &settings).await
}
