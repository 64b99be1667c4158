//! A corpus that changes during training ends the run with a valid checkpoint.
#![cfg(unix)]

use super::{
    background_run::{LONG, end, start, wait_for, wait_until},
    resume::{assert_same, checkpoint, metrics},
    *,
};
use std::{io::Write, thread, time::Duration};

#[test]
fn a_corpus_that_changes_ends_the_run_with_a_checkpoint() {
    type Change = fn(&Home);
    let changes: [(&str, Change); 4] = [
        ("cut short", |home| {
            let file = fs::OpenOptions::new().write(true).open(home.path("text.txt")).expect("a text");
            file.set_len(50).expect("cut");
        }),
        ("written to", |home| {
            let mut file = fs::OpenOptions::new().append(true).open(home.path("text.txt")).expect("a text");
            file.write_all(b"and more").expect("written");
        }),
        ("deleted", |home| fs::remove_file(home.path("text.txt")).expect("removed")),
        ("replaced", |home| {
            home.write("new.txt", text().replace("more", "less"));
            fs::rename(home.path("new.txt"), home.path("text.txt")).expect("renamed");
        }),
    ];
    for (change, apply) in changes {
        let home = Home::new();
        let child = start(&home, &format!("{LONG} --out here"));
        wait_for(&home, 2);
        apply(&home);
        let (code, error_text) = end(child, false);
        assert_eq!(code, Some(1), "{error_text}");
        let step = checkpoint(&home, "here").progress.step;
        let last = error_text.lines().last().expect("a line");
        let error = "error: text.txt was ";
        assert!(last.starts_with(error) && last[error.len()..].starts_with(change), "{error_text}");
        assert!(last.contains(&format!("; the run is saved at step {step}; to continue: ")), "{last}");
        assert!(step > 20 && metrics(&home, "here").len() as u64 == step / 20, "{step}");
        let again = home.run("train --resume --out here");
        refused(again, 1, &["text.txt"]);
        // With the original corpus the run continues and reaches the same bits.
        home.write("text.txt", text());
        let (next, whole) = (step + 30, home.run(&format!("{LONG} --out whole --stop-after {}", step + 30)));
        whole.success();
        home.run(&format!("train --resume --out here --threads 1 --stop-after {next}")).success();
        assert_same(&home, "whole", "here");
    }
}

/// A corpus of many files is checked from time to time. A checkpoint that a signal requests between
/// two checks must not contain steps that read a changed file.
#[test]
fn many_files_are_checked_before_the_last_checkpoint() {
    let home = Home::new();
    fs::create_dir(home.path("texts")).expect("a folder");
    (0..12).for_each(|n| home.write(&format!("texts/{n}"), text()));
    let rare = LONG.replace("--eval-every 20", "--eval-every 1000000000").replace("text.txt", "texts");
    let child = start(&home, &format!("{rare} --out here"));
    wait_until(|| home.path("here/checkpoint.safetensors").exists());
    thread::sleep(Duration::from_millis(300));
    // In one write: rewriting the file would cut it short for a moment, and the message would say
    // that.
    let mut file = fs::OpenOptions::new().append(true).open(home.path("texts/7")).expect("there");
    file.write_all(b"and more").expect("written");
    let (code, error_text) = end(child, true);
    assert_eq!(code, Some(1), "{error_text}");
    assert!(
        error_text.contains("error: texts/7 was written to") && error_text.contains("is saved at step 0;"),
        "{error_text}"
    );
    assert_eq!(checkpoint(&home, "here").progress.step, 0);
}
