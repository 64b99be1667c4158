//! Ranks give the bits of one process.

use super::*;

/// A run of a few steps, with eight windows each.
const RUN: &str = "train text.txt --hidden 16 --batch 2 --steps 6 --max-steps 12 --eval-every 4 --accumulate 8 --sample-length 20";

/// The settings of a test, each with two jobs: ranks, and threads of each.
const SETTINGS: [(&str, [(usize, usize); 2]); 17] = [
    ("--optimizer sgd --momentum 0.9 --nesterov --learning-rate 0.1", [(2, 1), (8, 1)]),
    ("--optimizer adagrad --learning-rate 0.1 --clip 0.5", [(3, 1), (4, 2)]),
    ("--optimizer rmsprop --centered --momentum 0.5", [(4, 1), (2, 2)]),
    ("--optimizer rmsprop --clip-mode value --clip 0.001", [(3, 2), (8, 1)]),
    ("--optimizer adam --clip-mode norm --clip 0.01", [(2, 1), (3, 1)]),
    ("--optimizer adamw --weight-decay 0.1 --warmup-steps 3", [(4, 1), (3, 1)]),
    ("--layers 2 --dropout 0.3", [(2, 2), (4, 1)]),
    ("--windows stream", [(3, 1), (4, 2)]),
    ("--windows random", [(2, 1), (8, 1)]),
    ("--windows sliding", [(3, 1), (4, 1)]),
    ("--input one-hot --cell gru", [(2, 1), (3, 2)]),
    ("--cell rnn --layers 3 --mode dynamic", [(4, 1), (8, 1)]),
    ("--patience 1 --learning-rate 3 --max-steps 40", [(2, 1), (3, 1)]),
    ("--accumulate 5 --loss-reduction sum-steps --label-smoothing 0.1", [(3, 1), (4, 1)]),
    ("--exchange bf16", [(2, 1), (3, 2)]),
    ("--precision bf16", [(2, 1), (3, 2)]),
    ("--exchange bf16 --layers 2 --optimizer sgd", [(4, 1), (8, 1)]),
];

#[test]
fn every_number_of_ranks_and_threads_has_the_bits_of_one_process() {
    let home = Home::new();
    home.alone(&format!("{RUN} --layers 2 --threads 1 --out alone")).success();
    for (ranks, threads) in [1, 2, 3, 4, 8].into_iter().flat_map(|ranks| [(ranks, 1), (ranks, 2)]) {
        let out = format!("{ranks}-{threads}");
        home.ranks(ranks, &format!("{RUN} --layers 2 --threads {threads} --out {out}")).success();
        home.assert_same("alone", &out, &format!("{ranks} ranks, {threads} threads each"));
    }
}

#[test]
fn every_setting_has_the_bits_of_one_process() {
    let home = Home::new();
    for (at, (settings, jobs)) in SETTINGS.into_iter().enumerate() {
        // The last of two flags would be an error.
        let given = |flag: &str| settings.split(' ').any(|word| word == flag);
        let mut run = RUN.to_owned();
        for flag in ["--accumulate", "--max-steps"].into_iter().filter(|flag| given(flag)) {
            run = without(&run, flag);
        }
        home.alone(&format!("{run} {settings} --threads 1 --out {at}")).success();
        for (ranks, threads) in jobs {
            let out = format!("{at}-{ranks}");
            home.ranks(ranks, &format!("{run} {settings} --threads {threads} --out {out}")).success();
            home.assert_same(&at.to_string(), &out, &format!("{settings}: {ranks} ranks"));
        }
    }
}

/// Returns a command without a flag and its value.
fn without(command: &str, flag: &str) -> String {
    let words: Vec<_> = command.split(' ').collect();
    let at = words.iter().position(|word| *word == flag).expect("the flag");
    [&words[..at], &words[at + 2..]].concat().join(" ")
}

#[test]
fn a_run_may_go_on_with_any_number_of_ranks() {
    let home = Home::new();
    home.alone(&format!("{RUN} --windows stream --threads 1 --out whole")).success();
    home.ranks(4, &format!("{RUN} --windows stream --threads 1 --out parts --stop-after 3")).success();
    home.ranks(3, "train --resume --out parts --threads 1 --stop-after 5").success();
    home.alone("train --resume --out parts --threads 1 --stop-after 9").success();
    let last = home.ranks(2, "train --resume --out parts --threads 1").success();
    assert!(last.stderr.contains("from step 9"), "{}", last.stderr);
    home.assert_same("whole", "parts", "resumed by 3, 1 and 2 ranks");
}

#[test]
fn only_rank_0_reads_runs() {
    let home = Home::new();
    home.alone(&format!("{RUN} --threads 1 --out first")).success();
    home.alone(&format!("{RUN} --threads 1 --init-from first --out alone")).success();
    // The other ranks find no such folder below their own.
    fs::create_dir(home.path("elsewhere")).expect("a folder");
    fs::copy(home.path("text.txt"), home.path("elsewhere/text.txt")).expect("a copy");
    let elsewhere = |rank_0: &str| {
        let mut command = mpirun();
        let script = format!("cd elsewhere && exec {PROGRAM} {rank_0}");
        command.args(["-n", "1", PROGRAM]).args(rank_0.split_whitespace());
        command.args([":", "-n", "2", "sh", "-c", &script]);
        home.end(command).success();
    };
    elsewhere(&format!("{RUN} --threads 1 --init-from first --out ranks --stop-after 5"));
    elsewhere("train text.txt --threads 1 --resume --out ranks");
    home.assert_same("alone", "ranks", "weights of rank 0");
    assert_eq!(names_in(&home.path("elsewhere")), ["text.txt"]);
}

#[test]
fn only_rank_0_prints() {
    let home = Home::new();
    let alone = home.alone(&format!("{RUN} --json --threads 1 --out alone")).success();
    let ranks = home.ranks(3, &format!("{RUN} --json --threads 1 --out ranks")).success();
    assert_eq!(alone.stdout.lines().count(), ranks.stdout.lines().count(), "{}", ranks.stdout);
    let first = |text: &str| -> Vec<String> {
        let words = text.lines().filter(|line| !line.starts_with("ranks"));
        words.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(first(&alone.stderr), first(&ranks.stderr), "{}", ranks.stderr);
    let help = home.ranks(3, "train --help").success();
    assert_eq!(help.stdout.matches("Usage:").count(), 1, "{}", help.stdout);
    let nothing = home.ranks(2, "");
    assert_eq!((nothing.code, nothing.stderr.matches("Usage:").count()), (Some(2), 1), "{}", nothing.stderr);
    assert_eq!(home.ranks(2, "--version").success().stdout.lines().count(), 1);
}
