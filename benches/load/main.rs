//! The time of fixed work on a loaded machine. The work is a number of steps of `unrolled train`,
//! in processes that this program starts and ends:
//!
//! 1. four runs one after another on all cores, against four runs at once, each on all cores or on
//!    its share of them,
//! 2. one thread against as many threads as cores, on a machine that does nothing else,
//! 3. the same while a thread of this program keeps one core busy.
//!
//! The situations take turns for some rounds, and the best round of each counts.
//!
//! ```text
//! cargo bench --bench load                      # all models, a few minutes
//! cargo bench --bench load -- 2x128 --rounds 9  # those whose name contains a word, more rounds
//! cargo bench --bench load -- --test            # only check that all runs give the same loss
//! ```

mod busy;
mod runs;

use clap::Parser;
use runs::{MODELS, Model, Runs};
use unrolled::bench::Machine;

/// A way to do the work.
struct Situation {
    /// Runs one after another.
    in_turn: usize,
    /// Number of processes of each of these runs.
    at_once: usize,
    threads: usize,
    /// True if a thread of this program keeps one core busy.
    busy: bool,
}

/// Times fixed work on a loaded machine.
#[derive(Parser)]
struct Options {
    /// Words in the names of the models [default: all models]
    words: Vec<String>,
    /// Number of rounds, the best of which counts
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Check the results, without timing
    #[arg(long)]
    test: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn selects(&self, model: &Model) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| model.name.contains(word))
    }
}

fn main() {
    let options = Options::parse();
    let machine = Machine::here().expect("an instruction set");
    println!("load: {machine}");
    let none = || panic!("no model has {:?} in its name", options.words);
    MODELS.iter().find(|model| options.selects(model)).unwrap_or_else(none);
    for model in MODELS.iter().filter(|model| options.selects(model)) {
        let steps = if options.test { 2 } else { model.steps };
        let rounds = if options.test { 1 } else { options.rounds };
        let runs = Runs::new(model, steps);
        let (cores, share) = (machine.cores, share_of(machine.cores));
        let one = Situation { in_turn: 1, at_once: 1, threads: 1, busy: false };
        let situations = [
            Situation { in_turn: 4, threads: cores, ..one },
            Situation { at_once: 4, threads: cores, ..one },
            Situation { at_once: 4, threads: share, ..one },
            Situation { threads: cores, ..one },
            Situation { busy: true, ..one },
            Situation { threads: cores, busy: true, ..one },
            one,
        ];
        let best = best_of(rounds, &runs, &situations);
        if !options.test {
            print(model, steps, cores, best);
        }
    }
}

/// Returns the threads of each of four runs that share the cores.
fn share_of(cores: usize) -> usize {
    (cores / 4).max(1)
}

/// Returns the best seconds of each situation. They take turns.
fn best_of<const N: usize>(rounds: usize, runs: &Runs, situations: &[Situation; N]) -> [f64; N] {
    let mut best = [f64::INFINITY; N];
    for _ in 0..rounds {
        for (situation, best) in situations.iter().zip(&mut best) {
            let _busy = situation.busy.then(busy::BusyCore::start);
            *best = best.min(runs.seconds([situation.in_turn, situation.at_once], situation.threads));
        }
    }
    best
}

fn print(model: &Model, steps: u32, cores: usize, best: [f64; 7]) {
    let [in_turn, at_once, shares, all, one_beside, all_beside, one] = best;
    println!("{}, {steps} steps", model.name);
    println!("    4 runs of {cores} threads in turn: {in_turn:.2} s");
    for (threads, seconds) in [(cores, at_once), (share_of(cores), shares)] {
        let share = seconds / in_turn;
        println!("    at once, threads of each {threads}: {seconds:.2} s, {share:.2} of that time");
    }
    for (name, one, all) in [("nothing else", one, all), ("one core busy", one_beside, all_beside)] {
        let ratio = one / all;
        println!("    {name}: 1 thread {one:.2} s, {cores} threads {all:.2} s, {ratio:.2} times as fast");
    }
}
