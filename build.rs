//! Puts the text together that the binary carries: this project's own documents and sources, sorted by path.
//!
//! What is missing is left out: the published package has no `kernels/`.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

const DOCUMENTS: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
const SOURCES: [&str; 2] = ["kernels/src", "src"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut files: Vec<PathBuf> = DOCUMENTS.into_iter().map(PathBuf::from).collect();
    for folder in SOURCES.map(Path::new).into_iter().filter(|folder| folder.is_dir()) {
        println!("cargo::rerun-if-changed={}", folder.display());
        let start = files.len();
        walk(folder, &mut files)?;
        files[start..].sort();
    }
    let mut text = String::new();
    for file in files.iter().filter(|file| file.is_file()) {
        println!("cargo::rerun-if-changed={}", file.display());
        // Whatever line ends the checkout has: the same text, and so the same training run, on every system.
        text += &fs::read_to_string(file)?.replace("\r\n", "\n");
    }
    let out = env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    fs::write(Path::new(&out).join("embedded.txt"), text)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
