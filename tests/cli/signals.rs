//! Signals end a run that can be resumed.
#![cfg(unix)]

use super::*;
use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const LONG: &str =
    "train text.txt --hidden 16 --batch 4 --steps 8 --epochs 1000000 --eval-every 20 --threads 1";

/// A run in the background and its messages.
struct Run {
    child: Child,
    message: PathBuf,
}

impl Drop for Run {
    /// Only a test that fails leaves a process.
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Run {
    /// Starts a run that would take hours; the shell commands `before` may change its signals.
    fn start(home: &Home, before: &str, arguments: &str, out: &str) -> Self {
        let message = home.path(&format!("{out}.message"));
        let script = format!("{before}exec \"$0\" {arguments} --out {out}");
        let mut command = Command::new("sh");
        command.current_dir(home.path("")).args(["-c", &script, env!("CARGO_BIN_EXE_unrolled")]);
        let errors = fs::File::create(&message).expect("a file");
        // The process that runs the tests may ignore signals, as a shell ignores SIGINT for
        // background jobs. SAFETY: `signal` may be called between fork and exec, and the numbers
        // are signals.
        unsafe {
            command.pre_exec(|| {
                use libc::{SIG_DFL, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU};
                for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU] {
                    libc::signal(number, SIG_DFL);
                }
                Ok(())
            });
        }
        let child = command.stdout(Stdio::null()).stderr(errors).spawn().expect("the command starts");
        Self { child, message }
    }

    fn message(&self) -> String {
        fs::read_to_string(&self.message).expect("what it output")
    }

    /// Sends these signals directly after each other.
    fn signal(&self, names: &[&str]) {
        let kills: Vec<_> = names.iter().map(|name| format!("kill -{name} {}", self.child.id())).collect();
        let sent = Command::new("sh").args(["-c", &kills.join(" && ")]).status().expect("a shell");
        assert!(sent.success(), "{}", self.message());
    }

    fn end(&mut self) -> (Option<i32>, String) {
        let mut status = None;
        wait_until(|| {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        (status.and_then(|status| status.code()), self.message())
    }
}

fn wait_until(mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come");
        thread::sleep(Duration::from_millis(10));
    }
}

fn trains(home: &Home, out: &str) {
    wait_until(|| home.path(out).join("metrics.jsonl").exists());
}

/// Asserts that the last line reports a checkpoint for this signal, and returns its step.
fn step_of(message: &str, signal: &str) -> u64 {
    let last = message.lines().last().expect("a line");
    let rest = last.strip_prefix(&format!("{signal}: checkpoint written at step "));
    let (step, rest) = rest.and_then(|rest| rest.split_once(';')).unwrap_or_else(|| panic!("{message}"));
    assert!(rest.contains("--resume --out"), "{message}");
    step.parse().expect("a number")
}

#[test]
fn every_signal_that_ends_a_run_writes_a_checkpoint() {
    let home = Home::new();
    let signals = [
        ("INT", 130),
        ("TERM", 143),
        ("QUIT", 131),
        ("HUP", 129),
        ("USR1", 138),
        ("USR2", 140),
        ("XCPU", 152),
    ];
    // The signal numbers of Linux.
    for (name, code) in signals.into_iter().take(if cfg!(target_os = "linux") { 7 } else { 4 }) {
        let out = format!("run{code}");
        let mut run = Run::start(&home, "", LONG, &out);
        trains(&home, &out);
        run.signal(&[name]);
        let (found, message) = run.end();
        assert_eq!(found, Some(code), "{message}");
        let next = step_of(&message, &format!("SIG{name}")) + 1;
        let resumed = home.run(&format!("train --resume --out {out} --stop-after {next}")).success();
        assert!(stderr(&resumed).contains(&format!("paused at step {next}")), "{}", stderr(&resumed));
    }
}

/// `timeout` signals the process and then its group.
#[test]
fn signals_at_the_same_time_are_one_request() {
    let home = Home::new();
    for (out, names) in
        [("a", ["TERM", "TERM", "CONT"]), ("b", ["INT", "TERM", "INT"]), ("c", ["HUP", "TERM", "HUP"])]
    {
        let mut run = Run::start(&home, "", LONG, out);
        trains(&home, out);
        run.signal(&names);
        let (code, message) = run.end();
        assert!(
            message.contains(": checkpoint written at step ") && code.is_some_and(|code| code > 128),
            "{message}"
        );
        home.run(&format!("inspect {out}")).success();
    }
}

/// `nohup` and `&` in a script.
#[test]
fn ignored_signals_stay_ignored() {
    let home = Home::new();
    let mut run = Run::start(&home, "trap '' HUP INT USR1; ", LONG, "here");
    trains(&home, "here");
    run.signal(&["HUP", "INT", "USR1"]);
    run.signal(&["TERM"]);
    let (code, message) = run.end();
    assert_eq!(code, Some(143), "{message}");
    step_of(&message, "SIGTERM");
}

#[test]
fn a_signal_interrupts_a_long_step_between_two_windows() {
    let home = Home::new();
    let long = LONG.replace("--epochs 1000000", "--epochs 1e9 --windows random --accumulate 1000000000");
    let mut run = Run::start(&home, "", &long, "here");
    wait_until(|| run.message().contains("files "));
    run.signal(&["TERM"]);
    let (code, message) = run.end();
    assert_eq!((code, step_of(&message, "SIGTERM")), (Some(143), 0), "{message}");
}

/// If the last checkpoint cannot be written, the run retries for some seconds; a second signal ends
/// that.
#[test]
fn a_second_request_after_a_second_ends_the_run_at_once() {
    let home = Home::new();
    fs::create_dir(home.path("other")).expect("a folder");
    home.write("other/.lock", "process 1");
    let rare = LONG.replace("--eval-every 20", "--eval-every 1000000000");
    let mut run = Run::start(&home, "", &rare, "here");
    wait_until(|| home.path("here/status.json").exists());
    fs::rename(home.path("here"), home.path("moved")).expect("moved away");
    fs::rename(home.path("other"), home.path("here")).expect("moved there");
    // Notices do not count.
    run.signal(&["TERM", "HUP"]);
    wait_until(|| run.message().contains("a second signal ends the run at once"));
    run.signal(&["USR1"]);
    run.signal(&["TERM"]);
    let (code, message) = run.end();
    assert_eq!(code, Some(143), "{message}");
    assert!(message.contains("retrying") && !message.contains("checkpoint written"), "{message}");
}

/// Writing to a closed terminal fails.
#[cfg(target_os = "linux")]
#[test]
fn a_run_with_closed_output_keeps_its_checkpoint() {
    let home = Home::new();
    let script = format!("exec \"$0\" {LONG} --json --out here >/dev/full 2>/dev/full");
    let mut command = Command::new("sh");
    command.current_dir(home.path("")).args(["-c", &script, env!("CARGO_BIN_EXE_unrolled")]);
    assert_eq!(command.status().expect("the command ends").code(), Some(1));
    let resumed = home.run("train --resume --out here --stop-after 21").success();
    assert!(stderr(&resumed).contains("from step 20"), "{}", stderr(&resumed));
}
