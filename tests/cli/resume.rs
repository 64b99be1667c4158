//! `--stop-after` and `--resume`.

use super::*;
use unrolled::checkpoint::Checkpoint;

pub fn checkpoint(home: &Home, run: &str) -> Checkpoint {
    checkpoint_at(home, &format!("{run}/checkpoint.safetensors"))
}

fn checkpoint_at(home: &Home, file: &str) -> Checkpoint {
    Checkpoint::load(&home.path(file)).expect("a checkpoint")
}

/// Returns the metrics without times.
pub fn metrics(home: &Home, run: &str) -> Vec<Value> {
    timeless(home, &format!("{run}/metrics.jsonl"))
}

/// Returns the training curve without times.
pub fn curve(home: &Home, run: &str) -> Vec<Value> {
    timeless(home, &format!("{run}/steps.jsonl"))
}

fn timeless(home: &Home, file: &str) -> Vec<Value> {
    let mut lines = json_lines(&home.read(file));
    for line in &mut lines {
        let fields = line.as_object_mut().expect("an object");
        ["seconds", "chars_per_second", "time"].iter().for_each(|key| _ = fields.remove(*key));
    }
    lines
}

#[test]
fn a_resumed_run_has_the_same_bits() {
    let home = Home::new();
    home.train("--out whole").success();
    // Step 12 is between two evaluations.
    let paused = home.train("--out halves --stop-after 12").success();
    assert!(stderr(&paused).contains("paused at step 12; to continue: "), "{}", stderr(&paused));
    assert_eq!(checkpoint(&home, "halves").progress.step, 12);
    // As after a crash between the metrics and the checkpoint.
    let mut written = home.read("halves/metrics.jsonl");
    written.push_str(&home.read("whole/metrics.jsonl").lines().last().expect("a line").replace("20", "15"));
    home.write("halves/metrics.jsonl", written);
    home.run("train --resume --out halves --threads 2").success();
    assert_same(&home, "whole", "halves");
}

/// Asserts that two finished runs are equal except for times.
pub fn assert_same(home: &Home, one: &str, other: &str) {
    for file in ["checkpoint", "best"] {
        let [a, b] = [one, other].map(|run| {
            Checkpoint::load(&home.path(run).join(file).with_extension("safetensors")).expect("a checkpoint")
        });
        assert_eq!((a.progress.step, a.progress.best_val_loss), (b.progress.step, b.progress.best_val_loss));
        assert!(a.parameters == b.parameters && a.moments == b.moments && a.state == b.state, "{file}");
    }
    assert_eq!(metrics(home, one), metrics(home, other));
    assert_eq!(curve(home, one), curve(home, other));
    assert_eq!(home.read(&format!("{one}/samples.jsonl")), home.read(&format!("{other}/samples.jsonl")));
}

#[test]
fn resuming_a_finished_run_prints_that_it_is_done() {
    let home = Home::new();
    home.train("--out here").success();
    let again = home.run("train --resume --out here --json").success();
    assert!(stderr(&again).contains("here is already done, at step 20"), "{}", stderr(&again));
    assert_eq!(json_lines(&stdout(&again))[0]["done"], true);
}

#[test]
fn a_run_with_a_constant_schedule_may_become_longer() {
    let home = Home::new();
    home.train("--out here --schedule constant").success();
    home.run("train --resume --out here --max-steps 30").success();
    assert_eq!(checkpoint(&home, "here").progress.step, 30);
    assert!(home.read("here/config.toml").contains("max-steps = 30\n"));
}

#[test]
fn a_resumed_run_keeps_its_settings() {
    let home = Home::new();
    home.train("--out here --stop-after 6").success();
    let resume = |flags: &str| home.run(&format!("train --resume --out here {flags}"));
    refused(
        resume("--max-steps 30"),
        2,
        &["--max-steps changes the run in here, which has max-steps = 20: add --extend"],
    );
    refused(resume("--hidden 32"), 2, &["--hidden contradicts the run in here, which has hidden = 16"]);
    refused(resume("--stop-after 6"), 2, &["--stop-after 6: the run is already at step 6"]);
    refused(resume("--preset lecture"), 2, &["--preset", "--resume"]);
    resume("--hidden 16 --mode dynamic --stop-after 8").success();
    assert_eq!(checkpoint(&home, "here").progress.step, 8);
}

#[test]
fn another_corpus_is_an_error() {
    let home = Home::new();
    home.train("--out here --stop-after 6").success();
    home.write("text.txt", text().replace("more words", "words more"));
    let parts = ["text.txt is not the corpus that here was trained on", "another --out"];
    refused(home.run("train --resume --out here"), 1, &parts);
    refused(home.run("eval here"), 1, &parts[..1]);
    let insisted = home.run("train --resume --out here --accept-changed-text").success();
    assert!(
        stderr(&insisted).contains("text.txt has changed; the run continues with it"),
        "{}",
        stderr(&insisted)
    );
    home.run("eval here").success();
    home.write("text.txt", text() + "\u{20ac}");
    refused(home.run("train --resume --out here --accept-changed-text"), 1, &["'\u{20ac}' (U+20AC)"]);
}

#[test]
fn a_run_killed_before_its_first_checkpoint_starts_again() {
    let home = Home::new();
    home.train("--out whole").success();
    home.train("--out here --stop-after 6").success();
    for file in file_names(&home.path("here")).iter().filter(|name| *name != "config.toml") {
        fs::remove_file(home.path("here").join(file)).expect("a file");
    }
    let again = home.run("train --resume --out here --threads 1").success();
    assert!(
        stderr(&again).contains("here: the run stopped before its first checkpoint"),
        "{}",
        stderr(&again)
    );
    assert_same(&home, "whole", "here");
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_previous_one() {
    let home = Home::new();
    home.train("--out whole").success();
    home.train("--out here --stop-after 12 --keep 3").success();
    let damage = |name: &str| {
        let mut bytes = fs::read(home.path(name)).expect("a checkpoint");
        let at = bytes.len() - 9;
        bytes[at] ^= 4;
        home.write(name, bytes);
    };
    let kept = |names: &[&str]| {
        let found = file_names(&home.path("here"));
        let found: Vec<_> = found.iter().filter(|name| name.starts_with("checkpoint")).collect();
        assert_eq!(found, names);
    };
    kept(&["checkpoint-10.safetensors", "checkpoint-5.safetensors", "checkpoint.safetensors"]);
    damage("here/checkpoint.safetensors");
    damage("here/checkpoint-10.safetensors");
    let resumed = home.run("train --resume --out here --stop-after 13 --keep 1").success();
    let message = stderr(&resumed);
    let parts =
        ["warning: here/checkpoint.safetensors is damaged in its tensor state.", "checkpoint-5", "at step 5"];
    parts.iter().for_each(|part| assert!(message.contains(part), "{part:?} in {message}"));
    kept(&["checkpoint.safetensors"]);
    damage("here/checkpoint.safetensors");
    damage("here/best.safetensors");
    refused(home.run("train --resume --out here"), 1, &["here/checkpoint.safetensors is damaged"]);
    fs::remove_dir_all(home.path("here")).expect("a folder");
    home.train("--out here --stop-after 12").success();
    damage("here/checkpoint.safetensors");
    home.run("train --resume --out here").success();
    assert_same(&home, "whole", "here");
}

#[test]
fn a_run_resumes_from_the_best_checkpoint_alone() {
    let home = Home::new();
    home.train("--out whole").success();
    home.train("--out here --stop-after 12 --keep 1").success();
    let best = checkpoint_at(&home, "here/best.safetensors").progress.step;
    fs::remove_file(home.path("here/checkpoint.safetensors")).expect("a file");
    let message = stderr(&home.run("train --resume --out here --threads 1").success());
    let parts = ["here/checkpoint.safetensors is missing; continuing from here/best.safetensors", "at step "];
    parts.iter().for_each(|part| assert!(message.contains(part), "{part:?} in {message}"));
    assert!(best > 0 && message.contains(&format!("at step {best}")), "{message}");
    assert_same(&home, "whole", "here");
}

/// Damaged checkpoints of later steps would count as the newest and displace the intact ones.
#[test]
fn damaged_later_checkpoints_are_removed() {
    let home = Home::new();
    home.train("--out here --stop-after 12 --keep 3").success();
    for name in ["here/checkpoint.safetensors", "here/checkpoint-10.safetensors"] {
        home.write(name, "damaged");
    }
    home.run("train --resume --out here --stop-after 7 --keep 2 --threads 1").success();
    let kept: Vec<_> = file_names(&home.path("here"));
    assert!(kept.iter().all(|name| name != "checkpoint-10.safetensors"), "{kept:?}");
    home.write("here/checkpoint.safetensors", "damaged");
    let message = stderr(&home.run("train --resume --out here --stop-after 8").success());
    assert!(message.contains("continuing from here/checkpoint-5.safetensors"), "{message}");
}

#[test]
fn resuming_without_a_checkpoint_is_an_error() {
    let home = Home::new();
    refused(
        home.run("train --resume --out nowhere"),
        1,
        &["nowhere/checkpoint.safetensors: found no such checkpoint"],
    );
    refused(home.run("train --resume"), 2, &["--out"]);
}
