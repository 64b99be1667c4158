//! Creates the built-in text of the library: the documents of this project, then its sources,
//! sorted by path. Missing files are skipped: the published package has no `kernels/`.

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
        // The text, and a training run on it, are the same for every kind of line end in the
        // checkout.
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
