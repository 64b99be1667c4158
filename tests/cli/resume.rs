//! `--stop-after` and `--resume`.

use super::*;
use unrolled::checkpoint::Checkpoint;

fn checkpoint(home: &Home, run: &str) -> Checkpoint {
    Checkpoint::load(&home.path(run).join("checkpoint.safetensors")).expect("a checkpoint")
}

/// Metrics without what a clock measured.
fn metrics(home: &Home, run: &str) -> Vec<Value> {
    let mut lines = json_lines(&home.read(&format!("{run}/metrics.jsonl")));
    for line in &mut lines {
        let fields = line.as_object_mut().expect("an object");
        fields.remove("seconds");
        fields.remove("chars_per_second");
    }
    lines
}

#[test]
fn two_halves_give_what_one_run_gives() {
    let home = Home::new();
    home.train("--out whole").success();
    // Step 12 lies between two evaluations.
    let paused = home.train("--out halves --stop-after 12").success();
    assert!(stderr(&paused).contains("paused at step 12; to continue: "), "{}", stderr(&paused));
    assert_eq!(checkpoint(&home, "halves").progress.step, 12);
    // What a crash between the metrics and the checkpoint would leave behind.
    let mut written = home.read("halves/metrics.jsonl");
    written.push_str(&home.read("whole/metrics.jsonl").lines().last().expect("a line").replace("20", "15"));
    home.write("halves/metrics.jsonl", written);
    home.run("train --resume --out halves --threads 2").success();
    let (whole, halves) = (checkpoint(&home, "whole"), checkpoint(&home, "halves"));
    assert_eq!(whole.parameters, halves.parameters);
    assert_eq!(whole.moments, halves.moments);
    assert_eq!(whole.state, halves.state);
    assert_eq!(metrics(&home, "whole"), metrics(&home, "halves"));
}

#[test]
fn a_finished_run_says_so() {
    let home = Home::new();
    home.train("--out here").success();
    let again = home.run("train --resume --out here --json").success();
    assert!(stderr(&again).contains("here is done already, at step 20"), "{}", stderr(&again));
    assert_eq!(json_lines(&stdout(&again))[0]["done"], true);
}

#[test]
fn a_constant_schedule_may_go_further() {
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
    refused(resume("--max-steps 30"), 2, &["--max-steps: the cosine schedule of here spans the horizon"]);
    refused(resume("--hidden 32"), 2, &["--hidden contradicts the run in here, which has hidden = 16"]);
    refused(resume("--stop-after 6"), 2, &["--stop-after 6: the run is at step 6 already"]);
    refused(resume("--preset lecture"), 2, &["--preset", "--resume"]);
    resume("--hidden 16 --mode dynamic --stop-after 8").success();
    assert_eq!(checkpoint(&home, "here").progress.step, 8);
}

#[test]
fn another_text_is_refused() {
    let home = Home::new();
    home.train("--out here --stop-after 6").success();
    home.write("text.txt", text().replace("more words", "words more"));
    let parts = ["text.txt is not the text that here was trained on", "another --out"];
    refused(home.run("train --resume --out here"), 1, &parts);
    refused(home.run("eval here"), 1, &parts[..1]);
}

#[test]
fn nothing_to_resume_is_said() {
    let home = Home::new();
    refused(
        home.run("train --resume --out nowhere"),
        1,
        &["nowhere/checkpoint.safetensors: no such checkpoint"],
    );
    refused(home.run("train --resume"), 2, &["--out"]);
}
