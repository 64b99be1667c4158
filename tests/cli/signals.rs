//! SIGINT and SIGTERM end a run that can be resumed.
#![cfg(unix)]

use super::*;
use std::{
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Starts a run that would take hours, and waits until it trains.
fn start(home: &Home, out: &str) -> Child {
    let arguments = "train text.txt --hidden 16 --batch 4 --steps 8 --epochs 1000000 --eval-every 20 --json";
    let mut command = Command::new(env!("CARGO_BIN_EXE_unrolled"));
    command.current_dir(home.path("")).args(arguments.split_whitespace()).args(["--out", out]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the command starts");
    let metrics = home.path(out).join("metrics.jsonl");
    let begun = Instant::now();
    while !metrics.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the run does not start");
        thread::sleep(Duration::from_millis(20));
    }
    child
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
}

#[test]
fn a_signal_writes_a_checkpoint() {
    let home = Home::new();
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let out = format!("run{code}");
        let child = start(&home, &out);
        signal(&child, name);
        let output = child.wait_with_output().expect("the command ends");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{told}");
        let last = told.lines().last().expect("a line");
        assert!(last.contains("checkpoint written at step ") && last.contains("--resume --out"), "{told}");
        let step = last.split("at step ").nth(1).and_then(|rest| rest.split(';').next()).expect("a step");
        let next: u64 = step.parse::<u64>().expect("a number") + 1;
        let resumed = home.run(&format!("train --resume --out {out} --stop-after {next}")).success();
        assert!(stderr(&resumed).contains(&format!("paused at step {next}")), "{}", stderr(&resumed));
    }
}
