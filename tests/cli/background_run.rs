//! A run in the background, for tests that interfere with it.
#![cfg(unix)]

use super::*;
use std::{
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Arguments of a run that would take hours.
pub const LONG: &str =
    "train text.txt --hidden 16 --batch 4 --steps 8 --epochs 1000000 --eval-every 20 --threads 1";

/// A process that ends with its test at the latest, and the file with its messages. A pipe would
/// fill up.
pub struct Run(pub Option<Child>, pub PathBuf);

impl Drop for Run {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        // Only a test that has failed gets here.
        let (_, _) = (child.kill(), child.wait());
        println!("messages of the run: {}", fs::read_to_string(&self.1).unwrap_or_default());
    }
}

/// Starts a run in the background.
pub fn start(home: &Home, arguments: &str) -> Run {
    let message = home.path("message");
    let mut command = Command::new(env!("CARGO_BIN_EXE_unrolled"));
    command.current_dir(home.path("")).args(arguments.split_whitespace());
    command.stdout(Stdio::null()).stderr(fs::File::create(&message).expect("a file"));
    Run(Some(command.spawn().expect("the command starts")), message)
}

/// Waits until the run in `here` has some evaluations.
pub fn wait_for(home: &Home, evaluations: usize) {
    let lines = || fs::read_to_string(home.path("here/metrics.jsonl")).unwrap_or_default().lines().count();
    wait_until(|| lines() >= evaluations);
}

/// Waits until a condition holds.
pub fn wait_until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the condition never holds");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Ends the run by SIGTERM if `signal` is set, or waits for its end. Returns the exit code and the
/// messages.
pub fn end(mut run: Run, signal: bool) -> (Option<i32>, String) {
    let mut child = run.0.take().expect("a run");
    if signal {
        assert!(
            Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill").success()
        );
    }
    let status = child.wait().expect("the command ends");
    (status.code(), fs::read_to_string(&run.1).expect("the messages"))
}
