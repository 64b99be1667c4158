//! Checks that every dependency comes from crates.io under a license that `deny.toml` allows.
//!
//! `cargo deny check` checks this and more. This test needs no installation, and reads the same
//! list.

use serde_json::Value;
use std::{collections::BTreeSet, env, process::Command};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Returns the licenses that `deny.toml` allows.
fn allowed() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml");
    let table: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let list = table["licenses"]["allow"].as_array().expect("a list");
    list.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

/// Returns cargo's metadata of the dependencies: of all platforms if their sources are here,
/// otherwise of this platform.
fn metadata() -> (&'static str, Value) {
    let version = run("rustc", &["-vV"]).expect("a compiler");
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned();
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let all = ["metadata", "--format-version", "1", "--all-features", "--locked", "--offline"];
    let here = [&all[..], &["--filter-platform", &host]].concat();
    let (which, text) = match run(&cargo, &all) {
        Ok(text) => ("all platforms", text),
        Err(_) => ("this platform (`cargo fetch` downloads the others)", run(&cargo, &here).unwrap()),
    };
    (which, serde_json::from_str(&text).unwrap())
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let folder = env!("CARGO_MANIFEST_DIR");
    let output = Command::new(program).args(arguments).current_dir(folder).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// Returns whether the licenses in `list` satisfy an SPDX expression, or the older form
/// `MIT/Apache-2.0`.
fn is_met(expression: &str, list: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any(&mut words, list);
    met && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>, list: &BTreeSet<String>) -> bool {
    let mut met = both(words, list);
    while words.next_if_eq(&"OR").is_some() {
        met |= both(words, list);
    }
    met
}

fn both(words: &mut Words<'_>, list: &BTreeSet<String>) -> bool {
    let mut met = one(words, list);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, list);
    }
    met
}

/// A name with an optional exception, or an expression in parentheses.
fn one(words: &mut Words<'_>, list: &BTreeSet<String>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        return any(words, list) & (words.next() == Some(")"));
    }
    let mut name = words.next().unwrap_or_default().to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        name = format!("{name} WITH {}", words.next().unwrap_or_default());
    }
    list.contains(&name)
}

#[test]
fn every_dependency_is_from_crates_io_with_an_allowed_license() {
    let (list, (which, metadata)) = (allowed(), metadata());
    let packages = metadata["packages"].as_array().expect("packages");
    let refused = packages.iter().filter(|package| {
        let known = package["source"].is_null() || package["source"] == CRATES_IO;
        !known || !package["license"].as_str().is_some_and(|expression| is_met(expression, &list))
    });
    let of = |package: &Value| format!("{} {}, {}", package["name"], package["license"], package["source"]);
    let refused: Vec<String> = refused.map(of).collect();
    assert!(packages.len() > 10 && refused.is_empty(), "deny.toml does not allow {refused:#?}");
    println!("licenses and sources of {} packages, of {which}: all allowed", packages.len());
}

#[test]
fn license_expressions_follow_their_parentheses() {
    let list = BTreeSet::from(["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned));
    for met in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "(MIT OR GPL-3.0) AND Zlib", "MIT AND Zlib"] {
        assert!(is_met(met, &list), "{met}");
    }
    assert!(is_met("Apache-2.0 WITH LLVM-exception", &list));
    for unmet in
        ["", "GPL-3.0", "Apache-2.0", "MIT AND GPL-3.0", "MIT OR GPL-3.0 )", "GPL-3.0 OR (MIT AND X)"]
    {
        assert!(!is_met(unmet, &list), "{unmet}");
    }
}
