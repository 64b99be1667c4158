//! Files in the repository that tests write.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Returns the path of a file that is given from the root of the package.
pub fn in_package(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// Compares a file with its expected content, after writing it if the environment variable is set.
#[track_caller]
pub fn assert_up_to_date(file: &str, content: &str, variable: &str) {
    if env::var_os(variable).is_some() {
        fs::write(in_package(file), content).expect("written");
    }
    let written = fs::read_to_string(in_package(file)).unwrap_or_default();
    for (written, expected) in written.lines().zip(content.lines()) {
        assert_eq!(written, expected, "{file}: {variable}=1 writes it again");
    }
    assert_eq!(written, content, "{file}: {variable}=1 writes it again");
}
