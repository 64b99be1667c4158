//! Numbers of flags and settings in messages and files.

use super::*;

#[test]
fn an_error_for_a_negative_number_names_the_flag() {
    let home = Home::new();
    home.train("--out here").success();
    for (command, flags) in [
        (
            "train text.txt",
            "seed 0, hidden 1, layers 1, embedding 1, batch 1, steps 1, accumulate 1, max-steps 1",
        ),
        (
            "train text.txt",
            "max-chars 1, eval-every 1, eval-symbols 2, patience 1, stop-after 1, keep 1, log-every 1",
        ),
        ("train text.txt", "threads 1, sample-length 0"),
        ("sample here", "seed 0, length 0, count 0, top-k 1"),
        ("eval here", "eval-streams 1, top-k 1, threads 1"),
        ("bench", "hidden 1, layers 1, embedding 1, batch 1, steps 1, seed 0, threads 1, vocab 0"),
        ("find-rate text.txt", "trials 10, threads 1, seed 0"),
    ] {
        for flag in flags.split(", ") {
            let (name, least) = flag.split_once(' ').expect("a flag and its least value");
            for wrong in ["-1", "x"] {
                let expected =
                    format!("'{wrong}' for '--{name} <N>': expected a whole number of {least} or above");
                refused(home.run(&format!("{command} --{name} {wrong}")), 2, &[&expected]);
            }
        }
    }
}

#[test]
fn numbers_are_recorded_as_they_were_given() {
    let home = Home::new();
    home.train("--out here --dropout 0.3 --label-smoothing 0.1 --init-scale 0.07 --clip 0.7").success();
    let config = home.read("here/config.toml");
    for line in ["dropout = 0.3\n", "label-smoothing = 0.1\n", "init-scale = 0.07\n", "clip = 0.7\n"] {
        assert!(config.contains(line), "{line} in {config}");
    }
    let resume = |flags: &str| home.run(&format!("train --resume --out here {flags}"));
    refused(resume("--dropout 0.2"), 2, &["which has dropout = 0.3:"]);
    resume("--dropout 0.3 --init-scale 0.07 --clip 0.7").success();
    let layer = "--layer hidden=4,input-keep-prob=0.9,cell-clip=1.1";
    home.run(&format!("train text.txt --batch 4 --steps 8 --max-steps 3 {layer} --out layer")).success();
    let config = home.read("layer/config.toml");
    assert!(config.contains("input-keep-prob = 0.9\n") && config.contains("cell-clip = 1.1\n"), "{config}");
    refused(home.train("--dropout 1.2"), 2, &["dropout = 1.2 is invalid"]);
    refused(home.train("--init-scale -0.3"), 2, &["init-scale = -0.3 is invalid"]);
    refused(home.train("--learning-rate -1e-30"), 2, &["learning-rate = -1e-30 is invalid"]);
}

#[test]
fn an_error_for_a_large_number_shows_it_as_it_was_given() {
    let home = Home::new();
    home.train("--out here").success();
    let expected = "expected a number of at most 3.4e38";
    refused(home.run("sample here --temperature 1e39"), 2, &["'1e39' for '--temperature <F>'", expected]);
    refused(home.run("sample here --top-p 1e39"), 2, &["'1e39' for '--top-p <F>'", expected]);
    for flag in ["clip", "dropout", "init-scale", "forget-bias", "gate-bias", "label-smoothing"] {
        refused(home.train(&format!("--{flag} 1e39")), 2, &[&format!("'1e39' for '--{flag} <F>'"), expected]);
        home.write("c.toml", format!("{flag} = 1e39"));
        refused(home.train("--config c.toml"), 2, &[&format!("c.toml: key {flag}: found 1e39, {expected}")]);
    }
    refused(
        home.run("train text.txt --layer zoneout=1e39"),
        2,
        &["found 1e39, expected a number of at most 3.4e38"],
    );
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_utf_8_is_an_error() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let home = Home::new();
    let name = OsStr::from_bytes(b"caf\xe9.txt");
    fs::copy(home.path("text.txt"), home.path("").join(name)).expect("a copy");
    home.train("--out here").success();
    fs::rename(home.path("here"), home.path("").join(OsStr::from_bytes(b"r\xe9"))).expect("renamed");
    let message = home.command(&format!("train {TINY}")).arg(name).assert();
    refused(
        message,
        2,
        &["caf\u{fffd}.txt: this path is not UTF-8, so config.toml cannot record it; rename it"],
    );
    for flag in ["--init-from", "--vocabulary"] {
        let asked = home.command("train text.txt").arg(flag).arg(OsStr::from_bytes(b"r\xe9")).assert();
        refused(asked, 2, &["r\u{fffd}: this path is not UTF-8"]);
    }
    home.command("eval").arg(OsStr::from_bytes(b"r\xe9")).arg(name).assert().success();
}
