//! The `unrolled` command: its files, streams and exit codes.

mod background_run;
mod bad_input;
mod bench;
mod changed_corpus;
mod checkpoints;
mod converting;
mod corpora;
mod encodings_and_vocabularies;
mod eval_sample_inspect;
mod evaluation_time;
mod export;
mod extend;
mod fine_tune;
mod ids;
mod importing;
mod killed;
mod memory_limit;
mod messages;
mod numbers;
mod precision;
mod quantize;
mod readme_commands;
mod resume;
mod signals;
mod texts;
mod training;
mod training_curve;
mod unwritable_folders;
mod usage;
mod views;
mod vocabulary;

use assert_cmd::{Command, assert::Assert};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A temporary folder with a small corpus.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = Self { folder };
        home.write("text.txt", text());
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).expect("a file in a temporary folder");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file that the command wrote")
    }

    /// Runs the command with these words as its arguments.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unrolled"));
        command.current_dir(self.folder.path()).args(arguments.split_whitespace());
        command
    }

    pub fn run(&self, arguments: &str) -> Assert {
        self.command(arguments).assert()
    }

    /// Trains a tiny model, with further arguments.
    pub fn train(&self, arguments: &str) -> Assert {
        self.run(&format!("train text.txt {TINY} {arguments}"))
    }
}

/// Settings that train quickly.
pub const TINY: &str = "--hidden 16 --batch 4 --steps 8 --max-steps 20 --eval-every 5 --threads 1";

/// Returns some sentences with two symbols of more than one byte.
fn text() -> String {
    (0..60).map(|n| format!("Line {n}: a caf\u{e9} \u{2014} and {} more words.\n", n * n)).collect()
}

pub fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8")
}

pub fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).expect("UTF-8")
}

pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
}

/// Returns the sorted keys of a JSON object.
pub fn keys(value: &Value) -> Vec<String> {
    let mut keys: Vec<_> = value.as_object().expect("an object").keys().cloned().collect();
    keys.sort();
    keys
}

/// Asserts the exit code and the one-line error message.
pub fn refused(assert: Assert, code: i32, parts: &[&str]) {
    let error_text = stderr(&assert);
    let assert = assert.code(code);
    assert_eq!(error_text.lines().count(), 1, "one line: {error_text}");
    assert!(error_text.starts_with("error: "), "{error_text}");
    for part in parts {
        assert!(error_text.contains(part), "{part:?} in {error_text}");
    }
    assert!(stdout(&assert).is_empty(), "nothing on standard output");
}

pub fn file_names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
