//! `--resume --extend`: another learning rate, schedule or length from a step on.

use super::resume::{assert_same, checkpoint};
use super::*;

#[test]
fn an_extended_run_has_the_same_bits_with_and_without_interruptions() {
    let home = Home::new();
    for run in ["whole", "parts"] {
        home.train(&format!("--out {run}")).success();
    }
    let longer = "--extend --max-steps 40 --learning-rate 0.01";
    home.run(&format!("train --resume --out whole {longer} --threads 1")).success();
    home.run(&format!("train --resume --out parts {longer} --stop-after 23 --threads 2")).success();
    home.run("train --resume --out parts --stop-after 31 --threads 1").success();
    // The same flags again change nothing.
    home.run(&format!("train --resume --out parts {longer} --threads 2")).success();
    assert_eq!(checkpoint(&home, "parts").progress.step, 40);
    assert_same(&home, "whole", "parts");
    assert_eq!(checkpoint(&home, "whole").progress.changes, checkpoint(&home, "parts").progress.changes);
}

#[test]
fn changes_are_recorded_and_shown() {
    let home = Home::new();
    home.train("--out here --stop-after 6").success();
    home.run("train --resume --out here --extend --schedule constant --learning-rate 0.3e-1 --max-steps 24")
        .success();
    let config = home.read("here/config.toml");
    for line in ["learning-rate = 0.03\n", "schedule = \"constant\"\n", "max-steps = 24\n"] {
        assert!(config.contains(line), "{line} in {config}");
    }
    let shown = stdout(&home.run("inspect here --json").success());
    let changes = &json_lines(&shown)[0]["changes"];
    assert_eq!(changes.as_array().map(Vec::len), Some(3), "{changes}");
    let expected = serde_json::json!({"step": 6, "key": "learning-rate", "from": "0.004", "to": "0.03"});
    assert_eq!(changes[0], expected);
    let shown = stdout(&home.run("inspect here").success());
    assert!(shown.contains("  after step          6  max-steps: 20 to 24\n"), "{shown}");
    home.train("--out plain").success();
    assert!(!stdout(&home.run("inspect plain").success()).contains("changed settings"));
}

/// A change survives if the process ends before its next checkpoint.
#[test]
fn a_change_is_saved_before_the_first_step() {
    let home = Home::new();
    home.train("--out here --stop-after 6").success();
    home.run("train --resume --out here --extend --max-steps 24 --eval-every 3 --stop-after 7").success();
    let stored = checkpoint(&home, "here");
    assert_eq!((stored.progress.total_steps, stored.progress.eval_every), (24, 3));
    home.run("train --resume --out here").success();
    home.run("train --resume --out here --patience 9").success();
    let stored = checkpoint(&home, "here");
    assert_eq!(
        (stored.progress.step, stored.settings.run.patience),
        (24, Some(9)),
        "a finished run takes it too"
    );
}

#[test]
fn a_change_without_extend_is_an_error_that_names_the_flag() {
    let home = Home::new();
    home.train("--out here --stop-after 6").success();
    let resume = |flags: &str| home.run(&format!("train --resume --out here {flags}"));
    for (flag, stored) in [
        ("learning-rate 0.1", "0.004"),
        ("schedule constant", "cosine"),
        ("max-steps 30", "20"),
        ("clip 1", "5"),
    ] {
        let name = flag.split(' ').next().expect("a name");
        let expected = format!("--{name} changes the run in here, which has {name} = {stored}: add --extend");
        refused(resume(&format!("--{flag}")), 2, &[&expected]);
    }
    for flag in ["hidden 8", "seed 3", "batch 2", "optimizer sgd", "dropout 0.5"] {
        let name = flag.split(' ').next().expect("a name");
        refused(
            resume(&format!("--{flag} --extend")),
            2,
            &[&format!("--{name} contradicts the run in here")],
        );
    }
    refused(home.run("train text.txt --extend"), 2, &["--resume"]);
}

#[test]
fn evaluations_and_patience_may_change_without_extend() {
    let home = Home::new();
    home.train("--out whole").success();
    home.train("--out here --stop-after 6").success();
    home.run("train --resume --out here --eval-every 3 --patience 50 --eval-symbols 100").success();
    let (here, whole) = (checkpoint(&home, "here"), checkpoint(&home, "whole"));
    assert!(here.parameters == whole.parameters, "evaluations move no weight");
    let steps: Vec<_> = here.progress.history.iter().map(|record| record.step).collect();
    assert_eq!(steps, [5, 6, 9, 12, 15, 18, 20]);
    assert_eq!(here.progress.changes.len(), 3);
}

#[test]
fn a_finished_run_prints_what_ended_it_and_how_to_continue() {
    let home = Home::new();
    let message = |run: &str| stderr(&home.run(&format!("train --resume --out {run}")).success());
    home.train("--out steps").success();
    let output = message("steps");
    assert!(
        output.contains("steps is already done, at step 20: max-steps = 20 ended it; to continue: "),
        "{output}"
    );
    assert!(output.contains(
        "train --resume --out steps --extend --max-steps N with N above 20; epochs = 1 ends it at step"
    ));
    home.run("train text.txt --hidden 16 --batch 4 --steps 8 --epochs 0.1 --out epochs").success();
    let output = message("epochs");
    assert!(output.contains("epochs = 0.1 ended it") && output.contains("--extend --epochs N"), "{output}");
    home.train("--out chars --max-chars 320").success();
    assert!(message("chars").contains("at step 10: max-chars = 320 ended it"), "{}", message("chars"));
    let wild = "--patience 1 --learning-rate 9 --clip 0 --eval-every 1 --max-steps 90";
    home.run(&format!("train text.txt --hidden 16 --batch 4 --steps 8 {wild} --out patience")).success();
    let output = message("patience");
    assert!(
        output.contains("patience = 1 ended it") && output.contains("--resume --out patience --patience N"),
        "{output}"
    );
    let step = checkpoint(&home, "patience").progress.step;
    home.run("train --resume --out patience --patience 90").success();
    assert!(checkpoint(&home, "patience").progress.step > step);
}

#[test]
fn a_length_that_was_reached_already_is_an_error() {
    let home = Home::new();
    home.train("--out here").success();
    let before = fs::read(home.path("here/checkpoint.safetensors")).expect("a file");
    let extend = |flags: &str| home.run(&format!("train --resume --out here --extend {flags}"));
    refused(
        extend("--max-steps 12"),
        2,
        &["--max-steps ends the run at step 12, and it is at step 20 already"],
    );
    let blocked = extend("--max-chars 9000");
    refused(
        blocked,
        2,
        &[
            "--max-chars has no effect: max-steps ends the run at step 20, where it is now; change --max-steps as well",
        ],
    );
    refused(
        extend("--learning-rate 0.5"),
        2,
        &["--learning-rate has no effect: max-steps ends the run at step 20, where it is now"],
    );
    assert!(before == fs::read(home.path("here/checkpoint.safetensors")).expect("a file"));
}

#[test]
fn a_diverged_run_continues_with_a_lower_learning_rate() {
    let home = Home::new();
    let wild = "--optimizer sgd --clip 0 --schedule constant --cell rnn --activation relu --learning-rate";
    let fell = home.train(&format!("--out here {wild} 1e30"));
    let message = stderr(&fell.code(1));
    let last = message.lines().last().expect("a line");
    assert!(last.starts_with("error: ") && last.contains("training diverged"), "{last}");
    assert!(last.contains("lower learning-rate, or set a clip") && !last.contains("smaller clip"), "{last}");
    let step = checkpoint(&home, "here").progress.step;
    let advice = format!("the run is saved at step {step}; to continue: ");
    assert!(
        last.contains(&advice) && last.ends_with("--resume --out here --extend --learning-rate 5e29"),
        "{last}"
    );
    home.run("train --resume --out here --extend --learning-rate 0.01").success();
    assert_eq!(checkpoint(&home, "here").progress.step, 20);
}

#[test]
fn extend_without_resume_is_an_error() {
    let home = Home::new();
    home.train("--out first").success();
    home.write("c.toml", "batch = 4\n");
    for other in ["--init-from first", "--preset lecture", "--vocabulary first", "--config c.toml"] {
        for flag in ["--extend", "--accept-changed-text"] {
            let refusal = home.run(&format!("train text.txt {flag} {other} --out none"));
            refused(refusal, 2, &[&format!("{flag} needs --resume --out DIR")]);
        }
    }
    assert!(!home.path("none").exists());
}
