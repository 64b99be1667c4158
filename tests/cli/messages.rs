//! Compares the error messages of the command with `docs/errors.md`.
//!
//! `UNROLLED_WRITE_ERRORS=1 cargo test --test main messages` rewrites the page.
#![cfg(target_os = "linux")]

mod corpora;
mod imports;
mod prepare;
mod runs;
mod training;

use super::*;
use prepare::Prepare;
use std::fmt::Write;

/// The page, relative to the package.
const PAGE: &str = "docs/errors.md";

/// A heading and its cases: files to prepare, and the arguments.
type Section = (&'static str, &'static [(&'static [Prepare], &'static str)]);

const RUN: &[Prepare] = &[Prepare::Train("")];
const PAUSED: &[Prepare] = &[Prepare::Train("--stop-after 6")];
const LAST: &str = "here/checkpoint.safetensors";

/// The sections of the page.
const SECTIONS: &[Section] = &[
    training::COMMAND_LINE_ARGUMENTS,
    training::INVALID_SETTINGS,
    training::CONFIGURATION_FILES,
    corpora::TEXTS,
    corpora::TOKEN_IDS,
    corpora::VOCABULARIES_AND_FINE_TUNING,
    runs::FOLDERS_OF_RUNS,
    runs::CHECKPOINTS,
    imports::IMPORTS,
    runs::EVALUATIONS_AND_SAMPLES,
    runs::QUANTIZED_WEIGHTS,
    runs::VIEWING_RUNS,
];

/// Returns the exit code and the line on standard error, without values that depend on the machine.
fn error_of(prepares: &[Prepare], arguments: &str) -> (i32, String) {
    let home = Home::new();
    prepares.iter().for_each(|prepare| prepare.apply(&home));
    let assert = home.run(arguments);
    let said = stderr(&assert);
    let code = assert.get_output().status.code().expect("no signal ends it");
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(lines.len(), 1, "there must be one line: {arguments}: {said}");
    let folder = home.path("").canonicalize().expect("a folder").display().to_string();
    (code, independent(&lines[0].replace(&folder, "/home/you")))
}

/// Replaces values that depend on the machine or on time: memory, checksums, lengths.
fn independent(line: &str) -> String {
    let mut line = line.to_owned();
    for (before, after, stands) in [
        ("more than the ", "; lower hidden", "8.0 GiB of this machine"),
        (": found checksum ", ", expected ", "01234567"),
        (": found checksum 01234567, expected ", "; use another copy", "89abcdef"),
        (": found 5000 bytes, expected ", " or more", "5024"),
    ] {
        let start = line.find(before).map(|at| at + before.len());
        if let (Some(start), Some(end)) = (start, line.find(after)) {
            line.replace_range(start..end, stands);
        }
    }
    line
}

fn page() -> (String, usize) {
    let mut page = "# Error messages\n\n\
         Every error is one line on standard error. The exit code is 2 for wrong usage and 1 for any other\n\
         error. A test compares this page with the messages of the command. `text.txt` is a small text, and the\n\
         memory is that of an example machine.\n"
        .to_owned();
    let mut count = 0;
    for (heading, cases) in SECTIONS {
        write!(page, "\n## {heading}\n").expect("a string");
        for (prepares, arguments) in *cases {
            let (code, line) = error_of(prepares, arguments);
            let given: Vec<_> = prepares.iter().filter_map(|prepare| prepare.description()).collect();
            let given = if given.is_empty() { String::new() } else { format!(" ({})", given.join(", ")) };
            write!(page, "\n`unrolled {arguments}`{given}: exit {code}\n\n    {line}\n").expect("a string");
            count += 1;
        }
    }
    (page, count)
}

#[test]
fn the_page_has_the_messages_of_the_command() {
    let (found, count) = page();
    assert!(count >= 60, "{count}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var_os("UNROLLED_WRITE_ERRORS").is_some() {
        fs::write(&path, &found).expect("a page");
    }
    let written = fs::read_to_string(&path).expect("the page");
    for (written, found) in written.lines().zip(found.lines()) {
        assert_eq!(written, found, "{PAGE}; UNROLLED_WRITE_ERRORS=1 rewrites it");
    }
    assert_eq!(written, found, "{PAGE}");
}
