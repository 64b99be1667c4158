//! When checkpoints are written, and times in the future.
#![cfg(unix)]

use super::{
    background_run::{LONG, end, start},
    resume::assert_same,
    *,
};
use std::{
    thread,
    time::{Duration, Instant, SystemTime},
};

#[test]
fn files_from_the_future_have_no_effect() {
    let home = Home::new();
    home.train("--out whole").success();
    home.run(&format!("train text.txt {TINY} --stop-after 6")).success();
    // All files of the run and the corpus have a time in the future.
    let future = SystemTime::now() + Duration::from_secs(400 * 24 * 3600);
    let names = file_names(&home.path("runs/1"));
    for path in names.iter().map(|name| home.path("runs/1").join(name)).chain([home.path("text.txt")]) {
        let file = fs::OpenOptions::new().append(true).open(path).expect("a file");
        file.set_modified(future).expect("a time");
    }
    home.run("train --resume --out runs/1 --threads 1").success();
    assert_same(&home, "whole", "runs/1");
    home.run("sample --length 3").success();
}

#[test]
fn checkpoints_are_written_by_time_and_by_steps() {
    let home = Home::new();
    for every in ["7", "100ms"] {
        let rare = LONG.replace("--eval-every 20", "--eval-every 1000000000");
        let child = start(&home, &format!("{rare} --checkpoint-every {every} --out here"));
        let begun = Instant::now();
        let at_least = |step: u64| {
            let file = home.path("here/checkpoint.safetensors");
            unrolled::checkpoint::Checkpoint::load(&file).is_ok_and(|found| found.progress.step >= step)
        };
        while !at_least(14) {
            assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint");
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(end(child, true).0, Some(143));
        assert!(
            home.read("here/config.toml").contains(&format!("\n[run]\ncheckpoint-every = \"{every}\"\n"))
        );
        fs::remove_dir_all(home.path("here")).expect("removed");
    }
}
