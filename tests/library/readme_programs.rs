//! The README shows whole examples. `cargo test --doc` runs its programs.

use std::{fs, path::Path};

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_readme_shows_the_examples_as_they_are() {
    let readme = read("README.md");
    for name in ["time_series", "classify_sequences"] {
        let example = read(&format!("examples/{name}.rs"));
        let program = &example[example.find("use ").expect("an import")..];
        let block = format!("```rust\n{program}```\n");
        assert!(readme.contains(&block), "README.md lacks the program of examples/{name}.rs; copy it there");
    }
}
