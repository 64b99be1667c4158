//! A divided training step: its time, and how much of its messages computation hides.

use std::sync::Arc;
use std::time::Instant;
use unrolled::bench::synthetic;
use unrolled::train::{ExchangeTimes, Ranks, Training};
use unrolled::{Cell, DataSettings, Exchange, ModelSettings, RunSettings, ScheduleSettings, Settings};

const SYMBOLS: usize = 65;
/// Steps of a window (T).
const STEPS: usize = 50;
/// Number of timed steps.
const REPEATS: u64 = 8;

/// The model and its windows, one for each rank.
#[derive(clap::Args)]
pub struct Divided {
    /// Instead of single messages, time steps of an LSTM with layers of these widths
    #[arg(long, value_delimiter = ',')]
    hidden: Vec<usize>,
    /// Batch rows of a window
    #[arg(long, default_value_t = 50)]
    batch: usize,
    /// Threads of a rank [default: all cores]
    #[arg(long)]
    threads: Option<usize>,
    /// Send bf16 instead of f32
    #[arg(long)]
    bf16: bool,
}

impl Divided {
    pub fn is_given(&self) -> bool {
        !self.hidden.is_empty()
    }

    fn training(&self, ranks: Arc<dyn Ranks>) -> unrolled::Result<Training> {
        let windows = ranks.count();
        let corpus = synthetic(SYMBOLS, 4 * windows * self.batch * STEPS + 1, 1)?;
        let settings = Settings {
            model: ModelSettings {
                layers: self.hidden.len(),
                hidden: self.hidden[0],
                cell: Cell::Lstm,
                ..ModelSettings::default()
            },
            schedule: ScheduleSettings::constant(1e-6),
            data: DataSettings { val_fraction: 0.0, ..DataSettings::default() },
            run: RunSettings {
                batch: self.batch,
                steps: STEPS,
                accumulate: windows,
                exchange: if self.bf16 { Exchange::Bf16 } else { Exchange::F32 },
                epochs: 1e12,
                eval_every: Some(u64::MAX),
                ..RunSettings::default()
            },
            ..Settings::default()
        };
        Training::new(corpus, settings, self.threads)?.divide(ranks)
    }

    /// Trains, and prints the times of rank 0.
    pub fn run(&self, ranks: Arc<dyn Ranks>) -> unrolled::Result<()> {
        let (rank, count) = (ranks.rank(), ranks.count());
        let mut training = self.training(ranks)?;
        if rank > 0 {
            training.follow();
            return Ok(());
        }
        training.step()?;
        let before = training.exchange_times().unwrap_or_default();
        let start = Instant::now();
        for _ in 0..REPEATS {
            training.step()?;
        }
        let step = start.elapsed().as_secs_f64() / REPEATS as f64;
        print(
            self,
            count,
            step,
            Milliseconds::between(before, training.exchange_times().unwrap_or_default()),
        );
        Ok(())
    }
}

/// Mean times of a step.
struct Milliseconds {
    gradients: f64,
    waited: f64,
    losses: f64,
    parameters: f64,
}

impl Milliseconds {
    fn between(before: ExchangeTimes, after: ExchangeTimes) -> Self {
        let mean = |time: fn(&ExchangeTimes) -> std::time::Duration| {
            1e3 * (time(&after) - time(&before)).as_secs_f64() / REPEATS as f64
        };
        Self {
            gradients: mean(|times| times.gradients),
            waited: mean(|times| times.waited),
            losses: mean(|times| times.losses),
            parameters: mean(|times| times.parameters),
        }
    }
}

fn print(divided: &Divided, ranks: usize, step: f64, times: Milliseconds) {
    let Milliseconds { gradients, waited, losses, parameters } = times;
    let step = 1e3 * step;
    let computation = step - waited - losses - parameters;
    println!("LSTM {:?}, B{} T{STEPS}, {ranks} ranks, {ranks} windows", divided.hidden, divided.batch);
    println!("    step {step:.1} ms: computation {computation:.1} ms, {:.0}%", 100.0 * computation / step);
    println!("    gradients {gradients:.1} ms, of which computation hides {:.1} ms", gradients - waited);
    println!("    losses {losses:.1} ms, parameters {parameters:.1} ms");
}
