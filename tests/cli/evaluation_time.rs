//! By default evaluations take at most about a tenth of the training time.

use super::{resume::assert_same, *};

/// A run of 20 steps of 32 symbols on a corpus that would take 50 times as long to evaluate.
const SHORT: &str = "--hidden 16 --batch 4 --steps 8 --max-steps 20 --threads 1";

fn home() -> Home {
    let home = Home::new();
    home.write("long.txt", text().repeat(80));
    home
}

#[test]
fn a_short_run_evaluates_a_part_of_the_validation_split_and_says_so() {
    let home = home();
    let run = home.run(&format!("train long.txt {SHORT} --out here --json")).success();
    let (output, lines) = (stderr(&run), json_lines(&stdout(&run)));
    let steps: Vec<_> = lines.iter().map(|line| line["step"].as_u64()).collect();
    assert_eq!(steps, [10, 20, 20].map(Some));
    assert_eq!(lines[2]["val_symbols"], 129, "one window of 16 streams x 8 steps");
    let all = lines[2]["val_split_symbols"].as_u64().expect("a number");
    assert!(all > 10_000, "{all}");
    assert!(output.contains("val     every 10 steps: the first 129 of 18,"), "{output}");
    assert!(output.contains("evaluated on the first 129 of 18,"), "{output}");
    let shown = stdout(&home.run("inspect here").success());
    assert!(shown.contains("2 evaluations, every 10 steps on at most 129 symbols"), "{shown}");
    // `eval` reads the whole split.
    let eval = &json_lines(&stdout(&home.run("eval here --json").success()))[0];
    assert_eq!(eval["symbols"].as_u64(), Some((all - 1) / 16 * 16));
}

#[test]
fn a_resumed_run_keeps_the_plan() {
    let home = home();
    home.run(&format!("train long.txt {SHORT} --out whole")).success();
    home.run(&format!("train long.txt {SHORT} --out here --stop-after 12")).success();
    home.run("train --resume --out here --threads 2").success();
    assert_same(&home, "whole", "here");
}

#[test]
fn explicit_flags_win() {
    let home = home();
    let evaluations = |flags: &str, out: &str| {
        let run = home.run(&format!("train long.txt {SHORT} {flags} --out {out} --json")).success();
        let lines = json_lines(&stdout(&run));
        let last = lines.last().expect("a line");
        let is_whole = last["val_symbols"] == last["val_split_symbols"];
        assert_eq!(stderr(&run).contains("evaluated on the first"), !is_whole);
        (lines.len() - 1, last["val_symbols"].as_u64(), is_whole)
    };
    let (count, _, is_whole) = evaluations("--eval-every 5", "every");
    assert_eq!((count, is_whole), (4, true));
    assert_eq!(evaluations("--eval-symbols 500", "symbols"), (1, Some(500), false));
    assert_eq!(evaluations("--eval-every 4 --eval-symbols 500", "both"), (5, Some(500), false));
    let (count, symbols, _) = evaluations("--patience 10", "patience");
    assert_eq!((count, symbols), (10, Some(129)), "patience counts evaluations");
}
