//! Files that change while they are read.

use super::*;

#[test]
fn a_file_that_was_written_to_is_noticed_and_never_gives_a_wrong_id() {
    let before = "ab\u{e9}".repeat(400);
    let folder = folder(&[("x", before.as_bytes())]);
    let path = folder.path().join("x");
    let corpus = open(&path).unwrap();
    corpus.unchanged().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut &file, &b"zz\xFF\xFFz".repeat(320)).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let mut ids = vec![0; corpus.len()];
    corpus.read(0, &mut ids);
    assert!(ids.iter().all(|&id| id < 3));
    let message = corpus.unchanged().unwrap_err().to_string();
    assert!(message.starts_with(&format!("{} was changed while", path.display())), "{message}");
}

#[test]
fn every_change_to_a_file_is_told() {
    let change = |change: fn(&Path)| {
        let folder = folder(&[("x", &b"abc".repeat(10_000))]);
        let path = folder.path().join("x");
        let corpus = open(&path).unwrap();
        corpus.whole().unwrap();
        corpus.unchanged().unwrap();
        change(&path);
        let message = corpus.unchanged().unwrap_err().to_string();
        let told =
            message.strip_prefix(&format!("{} was ", path.display())).expect("the file is named").to_owned();
        told.split(" while it was being read; ").next().unwrap().to_owned()
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

#[cfg(unix)]
#[test]
fn a_file_that_shrinks_gives_no_crash_but_an_error() {
    let folder = folder(&[("x", &b"abc".repeat(100_000))]);
    let path = folder.path().join("x");
    let corpus = open(&path).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(5000).unwrap();
    let mut ids = vec![9; 100];
    corpus.read(0, &mut ids);
    corpus.whole().unwrap();
    corpus.read(250_000, &mut ids);
    assert!(ids.iter().all(|&id| id < 3));
    let message = corpus.whole().unwrap_err().to_string();
    assert!(
        message.starts_with(&format!("{} was cut short while it was being read", path.display())),
        "{message}"
    );
}
