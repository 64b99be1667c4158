//! The dependencies of a program that links the library, and the programs of the README.

mod divided_at_random;
mod divided_evaluations;
mod divided_runs;
#[cfg(feature = "cli")] // it needs the toml crate to read deny.toml
mod licenses;
pub mod local_ranks;
mod local_ranks_tests;
mod readme_programs;

use std::{env, process::Command};
use unrolled::train::Ranks; // for local_ranks

#[test]
fn the_library_without_features_has_no_dependencies_for_files_or_the_command_line() {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["tree", "--offline", "--no-default-features", "-e", "normal", "--prefix", "none"];
    let output = Command::new(cargo)
        .args(arguments)
        .args(["-p", "unrolled", "--format", "{lib}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let crates: Vec<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    assert!(crates.contains(&"rayon") && crates.contains(&"unrolled_kernels"), "{tree}");
    for optional in [
        "clap",
        "indicatif",
        "plotters",
        "toml",
        "signal_hook",
        "ignore",
        "regex_automata",
        "tempfile",
        "rustix",
    ] {
        assert!(!crates.contains(&optional), "{optional} in\n{tree}");
    }
}
