//! `unrolled find-rate`: which learning rate to begin with.

use super::{
    config::Config,
    failure::Failure,
    numbers::{number, whole},
    options::SettingsFlags,
    origin::{Asked, Origin},
    output,
    run_options::RunOptions,
    text::Text,
};
use clap::{Args, builder::PossibleValuesParser};
use serde::Serialize;
use std::{num::NonZeroUsize, path::PathBuf};
use unrolled::{
    Preset,
    train::{RangeTest, Trial, steepest},
};

/// Lines of the table.
const LINES: usize = 20;
/// Width of its longest bar.
const WIDTH: f64 = 40.0;

/// Try rising learning rates for one step each, and name the one at which the loss falls fastest
#[derive(Args)]
pub struct FindRate {
    /// Files and folders of the text [default: the text inside this program]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The lowest rate
    #[arg(long, value_name = "F", value_parser = number, default_value = "1e-5")]
    from: f64,
    /// The highest rate
    #[arg(long, value_name = "F", value_parser = number, default_value = "1")]
    to: f64,
    /// Steps from the one to the other
    #[arg(long, value_name = "N", value_parser = whole::<u32>(10), default_value = "200")]
    trials: u32,
    /// Settings from a TOML file with these names; flags win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Published settings to start from
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Preset::NAMES))]
    preset: Option<String>,
    /// Start from the weights of a run or checkpoint, as `train --init-from` does
    #[arg(long, value_name = "RUN")]
    init_from: Option<PathBuf>,
    /// Symbols that the model knows, as for `train --vocabulary`
    #[arg(long, value_name = "FILE")]
    vocabulary: Option<PathBuf>,
    /// Number of ids that the model knows, as for `train --vocabulary-size`
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1), conflicts_with = "vocabulary")]
    vocabulary_size: Option<u32>,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>(1))]
    threads: Option<NonZeroUsize>,
    /// One JSON object per trial, and a last one with the rate
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsFlags,
}

/// The last object of `--json`.
#[derive(Serialize)]
struct Found {
    done: bool,
    learning_rate: Option<f64>,
}

impl FindRate {
    /// Runs the test and prints what it found.
    pub fn run(&self) -> Result<(), Failure> {
        let config = self.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
        let asked = Asked {
            config: &config,
            file: self.config.as_deref(),
            preset: self.preset.as_deref(),
            flags: &self.settings,
        };
        let given = RunOptions {
            init_from: self.init_from.clone(),
            vocabulary: self.vocabulary.clone(),
            vocabulary_size: self.vocabulary_size,
            ..RunOptions::default()
        };
        let origin = Origin::load(&given.or(config.run.clone()), &asked)?;
        let settings = origin.settings(&asked)?;
        settings.validate()?;
        let paths = match self.paths.is_empty() {
            true => config.paths().unwrap_or_default(),
            false => &self.paths,
        };
        let max_memory = config.run.max_memory.map(|most| most.0);
        let corpus = origin.open(&Text { paths, settings: &settings, max_memory })?;
        let test = RangeTest { from: self.from, to: self.to, trials: self.trials };
        let threads = self.threads.map(NonZeroUsize::get);
        let trials = test.run_from(origin.checkpoint(), corpus, &settings, threads)?;
        let learning_rate = steepest(&trials);
        if self.json {
            trials.iter().try_for_each(output::json)?;
            return output::json(&Found { done: true, learning_rate });
        }
        output::write(&table(&trials))?;
        output::line(&match learning_rate {
            Some(rate) => format!("\nthe loss falls fastest at --learning-rate {rate:.1e}"),
            None => "\nthe loss falls at no rate of this range: try another --from and --to".to_owned(),
        })
    }
}

/// Some of the trials, with bars for their smoothed losses.
fn table(trials: &[Trial]) -> String {
    let highest = trials.iter().map(|trial| trial.smoothed).fold(f64::MIN_POSITIVE, f64::max);
    let stride = trials.len().div_ceil(LINES).max(1);
    let line = |trial: &Trial| {
        let bar = "#".repeat((WIDTH * trial.smoothed / highest).round() as usize);
        format!("{:>9.2e}  {:8.4}  {bar}\n", trial.rate, trial.smoothed)
    };
    let lines: String = trials.iter().step_by(stride).map(line).collect();
    format!("     rate      loss\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_bar_for_every_loss() {
        let trial = |rate, smoothed| Trial { rate, loss: smoothed, smoothed };
        assert_eq!(
            table(&[trial(1e-3, 4.0), trial(0.1, 1.0)]),
            format!(
                "     rate      loss\n  1.00e-3    4.0000  {}\n  1.00e-1    1.0000  {}\n",
                "#".repeat(40),
                "#".repeat(10)
            )
        );
        assert_eq!(table(&[]), "     rate      loss\n");
    }
}
