//! Jobs that cannot start: rank 0 prints one line, and all ranks end.

use super::*;

const RUN: &str =
    "train text.txt --hidden 8 --batch 2 --steps 6 --max-steps 4 --accumulate 4 --threads 1 --out here";

/// Runs a job of three ranks, of which rank 1 has other arguments.
fn with_other_rank_1(home: &Home, other: &str) -> Ended {
    home.different_ranks(&[RUN, other, RUN])
}

#[test]
fn a_rank_with_another_run_is_refused_before_the_first_step() {
    let home = Home::new();
    home.write("other.txt", text().replacen("Line 7", "Line 8", 1));
    let changed = |from: &str, to: &str| with_other_rank_1(&home, &RUN.replace(from, to));
    changed("text.txt", "other.txt").refused(1, &["error: rank 1: its text is not that of"]);
    changed("--hidden 8", "--hidden 9").refused(1, &["error: rank 1: its hidden is 9, and that of", "is 8"]);
    changed("--batch 2", "--batch 2 --seed 5")
        .refused(1, &["error: rank 1: its seed is 5, and that of", "is 1"]);
    changed("--batch 2", "--batch 2 --exchange bf16").refused(1, &["error: rank 1: its exchange is bf16"]);
    changed("--batch 2", "--batch 2 --precision bf16").refused(1, &["error: rank 1: its precision is bf16"]);
    assert!(!home.path("here").exists());
}

#[test]
fn a_rank_that_cannot_start_is_named() {
    let home = Home::new();
    let changed = |from: &str, to: &str| with_other_rank_1(&home, &RUN.replace(from, to));
    changed("text.txt", "missing.txt").refused(1, &["error: rank 1: cannot read missing.txt"]);
    changed("--hidden 8", "--hidden 0").refused(2, &["error: rank 1: invalid value '0' for '--hidden"]);
    changed("--hidden 8", "--hiden 8").refused(2, &["error: rank 1: unexpected argument '--hiden'"]);
    changed("--batch 2", "--batch 2 --config no.toml").refused(1, &["error: rank 1: cannot read no.toml"]);
    changed("--batch 2", "--batch 2 --max-memory 1k").refused(2, &["error: rank 1: --max-memory 1"]);
    assert!(!home.path("here").exists());
    let on_all = home.ranks(3, &RUN.replace("text.txt", "missing.txt"));
    on_all.refused(1, &["error: cannot read missing.txt"]);
    home.ranks(3, "train text.txt --hiden 3").refused(2, &["error: unexpected argument '--hiden' found"]);
}

#[test]
fn ranks_with_different_commands_are_refused() {
    let home = Home::new();
    home.alone(&RUN.replace("here", "there")).success();
    with_other_rank_1(&home, "train --resume --out there")
        .refused(2, &["rank 1 has the command `train --resume`, expected `train` as on rank 0"]);
    with_other_rank_1(&home, &format!("{RUN} --init-from there"))
        .refused(2, &["rank 1 has --init-from given, expected not given as on rank 0"]);
    with_other_rank_1(&home, "eval there").refused(2, &["rank 1: `unrolled eval` runs in one process"]);
    home.ranks(2, "inspect there")
        .refused(2, &["error: `unrolled inspect` runs in one process, and this is a job of 2 processes"]);
    with_other_rank_1(&home, "train --help").refused(2, &["rank 1 has the command `--help`"]);
    home.ranks(2, &RUN.replace("text.txt", "-"))
        .refused(2, &["standard input, which only one rank of 2 can read"]);
    home.ranks(2, &RUN.replace("text.txt", "/dev/fd/9"))
        .refused(2, &["the pipe /dev/fd/9, which only one rank of 2 can read"]);
}

#[test]
fn more_ranks_than_windows_are_refused() {
    let home = Home::new();
    home.ranks(5, RUN)
        .refused(2, &["accumulate = 4 is invalid: 5 ranks need", "at most 4 ranks", "--accumulate 5"]);
    assert!(!home.path("here").exists());
}

#[test]
fn an_error_of_rank_0_ends_all_ranks() {
    let home = Home::new();
    home.alone(RUN).success();
    home.ranks(3, RUN).refused(1, &["error: here already holds a run (config.toml)"]);
    home.ranks(3, &RUN.replace("here", "text.txt"))
        .refused(1, &["text.txt: found a file, expected a folder"]);
    home.ranks(3, "train --resume --out nowhere")
        .refused(1, &["nowhere/checkpoint.safetensors: found no such"]);
    home.ranks(3, "train --resume --out here --hidden 9")
        .refused(2, &["--hidden contradicts the run in here"]);
    for file in names_in(&home.path("here")).iter().filter(|name| name.ends_with(".safetensors")) {
        home.write(&format!("here/{file}"), "damaged");
    }
    home.ranks(3, "train --resume --out here").refused(1, &["here/checkpoint.safetensors is truncated"]);
}
