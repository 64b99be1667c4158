//! Files that change while they are read.

use super::*;

#[test]
fn a_changed_file_is_reported_and_its_ids_stay_in_range() {
    let before = "ab\u{e9}".repeat(400);
    let folder = folder(&[("x", before.as_bytes())]);
    let path = folder.path().join("x");
    let corpus = open(&path).unwrap();
    corpus.check_unchanged().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut &file, &b"zz\xFF\xFFz".repeat(320)).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let mut ids = vec![0; corpus.len()];
    corpus.read(0, &mut ids);
    assert!(ids.iter().all(|&id| id < 3));
    let message = corpus.check_unchanged().unwrap_err().to_string();
    assert!(message.starts_with(&format!("{} was changed while", path.display())), "{message}");
}

#[test]
fn every_change_to_a_file_is_reported() {
    let change = |change: fn(&Path)| {
        let folder = folder(&[("x", &b"abc".repeat(10_000))]);
        let path = folder.path().join("x");
        let corpus = open(&path).unwrap();
        corpus.check_truncation().unwrap();
        corpus.check_unchanged().unwrap();
        change(&path);
        let message = corpus.check_unchanged().unwrap_err().to_string();
        let change = message.strip_prefix(&format!("{} was ", path.display())).expect("the file is named");
        change.split(" while it was being read; ").next().unwrap().to_owned()
    };
    assert_eq!(change(|path| fs::remove_file(path).unwrap()), "deleted");
    assert_eq!(change(|path| fs::write(path, "new and short").unwrap()), "cut short");
    assert_eq!(change(|path| fs::write(path, "new and long".repeat(9_999)).unwrap()), "written to");
    let rename = |path: &Path| {
        fs::write(path.with_extension("new"), "abc".repeat(10_000)).unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    };
    assert_eq!(change(rename), if cfg!(unix) { "replaced" } else { "changed" });
}

/// Truncates a mapped file and reads its lost part.
#[cfg(unix)]
fn read_truncated() -> Corpus {
    let folder = folder(&[("x", &b"abc".repeat(100_000))]);
    let path = folder.path().join("x");
    let corpus = open(&path).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(5000).unwrap();
    let mut ids = vec![9; 100];
    corpus.read(0, &mut ids);
    corpus.check_truncation().unwrap();
    corpus.read(250_000, &mut ids);
    assert!(ids.iter().all(|&id| id < 3));
    corpus
}

#[cfg(unix)]
#[test]
fn with_the_guard_a_truncated_file_is_an_error() {
    install_truncation_guard().unwrap();
    install_truncation_guard().expect("a second call does nothing");
    let message = read_truncated().check_truncation().unwrap_err().to_string();
    assert!(message.contains("/x was cut short while it was being read"), "{message}");
}

/// The name of an environment variable: set in the child process of the next test.
#[cfg(unix)]
const CHILD: &str = "UNROLLED_TEST_TRUNCATED";

/// Opening a corpus installs no signal handler, so the system ends the process as any other. The
/// test runs itself in a child process.
#[cfg(unix)]
#[test]
fn without_the_guard_a_truncated_file_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    if std::env::var_os(CHILD).is_some() {
        read_truncated();
        return;
    }
    let name = "corpus::tests::changes::without_the_guard_a_truncated_file_ends_the_process";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", name, "--test-threads=1"]).env(CHILD, "1").output().unwrap();
    assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{output:?}");
}
