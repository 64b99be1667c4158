//! The command line accepts every `unrolled` command of the README.

use super::*;

/// Splits a command into words: spaces divide them, except between single quotes. A `#` starts a
/// comment.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            '#' if !quoted && word.is_empty() => break,
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Returns the arguments of `unrolled ARGUMENTS` and `cargo run -- ARGUMENTS`.
fn arguments(command: &str) -> Option<Vec<String>> {
    let rest = command.strip_prefix("unrolled ");
    let rest = rest.or_else(|| command.strip_prefix("cargo run")?.split_once("-- ").map(|(_, rest)| rest));
    rest.map(words)
}

/// Returns the commands in blocks of shell commands and between single backticks.
fn commands(markdown: &str) -> Vec<Vec<String>> {
    let (mut found, mut prose, mut language) = (Vec::new(), String::new(), None);
    for line in markdown.replace("\\\n", "").lines() {
        match (line.strip_prefix("```"), language) {
            (Some(name), None) => language = Some(if name == "sh" { "sh" } else { "" }),
            (Some(_), Some(_)) => language = None,
            (None, Some("sh")) => found.extend(arguments(line)),
            (None, Some(_)) => {}
            (None, None) => prose = prose + line + " ",
        }
    }
    found.extend(prose.split('`').skip(1).step_by(2).filter_map(arguments));
    found
}

#[test]
fn the_commands_of_the_readme_are_valid() {
    let home = Home::new();
    // With --help, the arguments before it are parsed and the command does not run.
    refused(home.run("train --no-such-flag --help"), 2, &["--no-such-flag"]);
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let commands = commands(&readme);
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let assert = home.command("").args(&command).arg("--help").assert();
        assert!(assert.get_output().status.success(), "{command:?}: {}", stderr(&assert));
    }
}
