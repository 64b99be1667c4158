//! Disks that are full, folders that go away, texts that change, clocks that are set back: nothing is lost.
#![cfg(unix)]

use super::{
    resume::{assert_same, checkpoint, metrics},
    *,
};
use std::{
    io::Write,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// A run that would take hours.
const LONG: &str =
    "train text.txt --hidden 16 --batch 4 --steps 8 --epochs 1000000 --eval-every 20 --threads 1";

/// A process that does not outlive its test, and where it says what it says: a file, since nobody empties a pipe.
struct Run(Option<Child>, PathBuf);

impl Drop for Run {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        // Only when the test has failed already: what the run said is worth knowing then.
        let (_, _) = (child.kill(), child.wait());
        println!("the run said: {}", fs::read_to_string(&self.1).unwrap_or_default());
    }
}

fn start(home: &Home, arguments: &str) -> Run {
    let told = home.path("told");
    let mut command = Command::new(env!("CARGO_BIN_EXE_unrolled"));
    command.current_dir(home.path("")).args(arguments.split_whitespace());
    command.stdout(Stdio::null()).stderr(fs::File::create(&told).expect("a file"));
    Run(Some(command.spawn().expect("the command starts")), told)
}

/// Waits until the run in `here` has some evaluations.
fn wait_for(home: &Home, evaluations: usize) {
    let lines = || fs::read_to_string(home.path("here/metrics.jsonl")).unwrap_or_default().lines().count();
    wait_until(|| lines() >= evaluations);
}

fn wait_until(there: impl Fn() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The exit code and what was said, of a run that ends by itself or after SIGTERM.
fn end(mut run: Run, signal: bool) -> (Option<i32>, String) {
    let mut child = run.0.take().expect("a run");
    if signal {
        assert!(
            Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill").success()
        );
    }
    let status = child.wait().expect("the command ends");
    (status.code(), fs::read_to_string(&run.1).expect("what it said"))
}

/// As it would be on a disk that takes no file longer than `blocks` of 512 bytes.
fn limited(home: &Home, blocks: usize, arguments: &str) -> Assert {
    let script = format!("ulimit -f {blocks}; exec \"$0\" {arguments}");
    let mut command = assert_cmd::Command::new("sh");
    command.current_dir(home.path("")).args(["-c", &script, env!("CARGO_BIN_EXE_unrolled")]).assert()
}

#[test]
fn a_full_disk_keeps_the_last_checkpoint_and_says_what_is_lost() {
    let home = Home::new();
    home.train("--out whole").success();
    home.train("--out here --stop-after 6").success();
    // The small files fit; the checkpoint does not.
    let told = stderr(&limited(&home, 8, "train --resume --out here --threads 1").code(1));
    let parts = [
        "warning: cannot write here/best.safetensors: File too large",
        "; make room, or choose another place; the run goes on and tries again every 30 s; on disk is step 6",
        "trying again in 2 s",
        "; on disk is step 6, and the steps from there to 20 are lost",
    ];
    parts.iter().for_each(|part| assert!(told.contains(part), "{part:?} in {told}"));
    assert_eq!(checkpoint(&home, "here").progress.step, 6);
    assert!(file_names(&home.path("here")).iter().all(|name| !name.ends_with(".tmp")));
    home.run("train --resume --out here --threads 1").success();
    assert_same(&home, "whole", "here");
    // A run that cannot even begin leaves nothing that looks like one that has.
    let told = stderr(&limited(&home, 8, &format!("train text.txt {TINY} --out new")).code(1));
    assert!(told.contains("error: cannot write new/checkpoint.safetensors: File too large"), "{told}");
    home.run("train --resume --out new").success();
    assert_same(&home, "whole", "new");
}

#[test]
fn a_folder_that_is_deleted_is_made_again() {
    let home = Home::new();
    let child = start(&home, &format!("{LONG} --out here"));
    wait_for(&home, 3);
    // At once, as a deletion of its files one by one would not be.
    fs::rename(home.path("here"), home.path("gone")).expect("moved away");
    wait_for(&home, 4);
    let (code, told) = end(child, true);
    assert_eq!(code, Some(143), "{told}");
    assert!(told.contains("warning: here was deleted; it is made again"), "{told}");
    let steps: Vec<_> = metrics(&home, "here").iter().map(|line| line["step"].as_u64()).collect();
    assert!(steps.iter().zip(1..).all(|(step, n)| *step == Some(20 * n)), "no gaps: {steps:?}");
    home.run("inspect here").success();
    let next = checkpoint(&home, "here").progress.step + 1;
    home.run(&format!("train --resume --out here --stop-after {next}")).success();
}

/// A run whose folder was moved away must not write over the one that was begun in its place.
#[test]
fn the_run_that_took_a_folders_place_is_left_alone() {
    let home = Home::new();
    fs::create_dir(home.path("other")).expect("a folder");
    home.write("other/.lock", "process 1");
    home.write("other/config.toml", "another run's");
    // Written seldom, so that it does not make its folder again before the other one is there.
    let rare = LONG.replace("--eval-every 20", "--eval-every 1000000000");
    let first = start(&home, &format!("{rare} --checkpoint-every 1s --out here"));
    wait_until(|| {
        home.path("here/manifest.json").exists() && home.path("here/checkpoint.safetensors").exists()
    });
    fs::rename(home.path("here"), home.path("moved")).expect("moved away");
    fs::rename(home.path("other"), home.path("here")).expect("moved there");
    let said = || fs::read_to_string(&first.1).expect("what it said");
    wait_until(|| said().contains("another run has taken the place"));
    assert_eq!(file_names(&home.path("here")).len(), 2, "{:?}", file_names(&home.path("here")));
    assert_eq!(home.read("here/config.toml"), "another run's");
    // What it has is kept as soon as its place is its own again.
    fs::remove_dir_all(home.path("here")).expect("removed");
    let (code, told) = end(first, true);
    assert_eq!(code, Some(143), "{told}");
    assert!(checkpoint(&home, "here").progress.step > 20 && home.path("here/config.toml").exists(), "{told}");
}

#[test]
fn files_that_are_deleted_one_by_one_are_written_again() {
    let home = Home::new();
    let child = start(&home, &format!("{LONG} --out here"));
    wait_for(&home, 1);
    for name in file_names(&home.path("here")) {
        let _ = fs::remove_file(home.path("here").join(name));
    }
    wait_for(&home, 2);
    assert_eq!(end(child, true).0, Some(143));
    let next = checkpoint(&home, "here").progress.step + 1;
    home.run(&format!("train --resume --out here --stop-after {next}")).success();
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let home = Home::new();
    let child = start(&home, &format!("{LONG} --out here"));
    wait_for(&home, 1);
    let id = child.0.as_ref().expect("a run").id().to_string();
    let parts = ["here is in use by process ", &id, "choose another --out"];
    refused(home.run("train --resume --out here"), 1, &parts);
    // Whoever only reads is welcome.
    home.run("sample here --length 5").success();
    assert_eq!(end(child, true).0, Some(143));
    home.run("inspect here").success();
}

#[test]
fn a_text_that_is_cut_short_or_replaced_ends_the_run_with_a_checkpoint() {
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
        let (code, told) = end(child, false);
        assert_eq!(code, Some(1), "{told}");
        let step = checkpoint(&home, "here").progress.step;
        let last = told.lines().last().expect("a line");
        let error = "error: text.txt was ";
        assert!(last.starts_with(error) && last[error.len()..].starts_with(change), "{told}");
        assert!(last.contains(&format!("; the run stands at step {step}, to continue: ")), "{last}");
        assert!(step > 20 && metrics(&home, "here").len() as u64 == step / 20, "{step}");
        let again = home.run("train --resume --out here");
        refused(again, 1, &["text.txt"]);
        // With the text as it was, the run goes on where it stood, and comes to what it would have come to.
        home.write("text.txt", text());
        let (next, whole) = (step + 30, home.run(&format!("{LONG} --out whole --stop-after {}", step + 30)));
        whole.success();
        home.run(&format!("train --resume --out here --threads 1 --stop-after {next}")).success();
        assert_same(&home, "whole", "here");
    }
}

/// Many files are looked at now and then. A checkpoint that a signal asks for between two looks must not hold what was read
/// from a text that changed.
#[test]
fn many_files_are_looked_at_before_the_last_checkpoint() {
    let home = Home::new();
    fs::create_dir(home.path("texts")).expect("a folder");
    (0..12).for_each(|n| home.write(&format!("texts/{n}"), text()));
    let rare = LONG.replace("--eval-every 20", "--eval-every 1000000000").replace("text.txt", "texts");
    let child = start(&home, &format!("{rare} --out here"));
    wait_until(|| home.path("here/checkpoint.safetensors").exists());
    thread::sleep(Duration::from_millis(300));
    // In one write: to write it anew would cut it short for a moment, which a step may meet, and which is told as that.
    let mut file = fs::OpenOptions::new().append(true).open(home.path("texts/7")).expect("there");
    file.write_all(b"and more").expect("written");
    let (code, told) = end(child, true);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("error: texts/7 was written to") && told.contains("stands at step 0,"), "{told}");
    assert_eq!(checkpoint(&home, "here").progress.step, 0);
}

#[test]
fn a_clock_that_is_set_back_changes_nothing() {
    let home = Home::new();
    home.train("--out whole").success();
    home.run(&format!("train text.txt {TINY} --stop-after 6")).success();
    // All files of the run, and the text itself, come from a time that is yet to be.
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
fn checkpoints_come_by_time_and_by_steps() {
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

#[test]
fn what_needs_more_memory_than_granted_is_refused_with_the_figure() {
    let home = Home::new();
    let large = "train text.txt --hidden 2000 --batch 4 --steps 8 --max-memory 50MB --out here";
    refused(home.run(large), 2, &["--max-memory 47.7 MiB: this run needs about ", "lower hidden"]);
    assert!(!home.path("here").exists());
    let run = home.train("--max-memory 50MB --out here").success();
    assert!(stderr(&run).contains("memory  about "), "{}", stderr(&run));
}

/// Both amounts would be rounded to the same figure, and the message would contradict itself.
#[test]
fn a_refusal_for_a_little_memory_shows_two_figures() {
    let home = Home::new();
    let figures = |most: &str| {
        let told = stderr(&home.train(&format!("--max-memory {most} --out here")).code(2));
        let (granted, needed) = told.split_once(": this run needs about ").expect("two amounts");
        let granted = granted.strip_prefix("error: --max-memory ").expect("the flag");
        (granted.to_owned(), needed.split(';').next().expect("an amount").to_owned())
    };
    let (_, needed) = figures("1K");
    let (number, unit) = needed.split_once(' ').expect("a number and a unit");
    let lower = number.parse::<f64>().expect("a number") - 0.0501;
    let scale = if unit == "KiB" { 1024.0 } else { 1024.0 * 1024.0 };
    let (granted, needed) = figures(&format!("{}", (lower * scale) as u64));
    assert_ne!(granted, needed);
}
