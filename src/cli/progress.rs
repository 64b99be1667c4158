//! The progress display on standard error.

use super::{
    number_format::{clock, grouped, learning_rate, loss, loss_and_bits, per_second, percent, short},
    output::{note, shows_bars},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};
use unrolled::{
    Unit,
    train::{Progress, Record, StepReport},
};

/// Seconds of training after which an older speed or loss counts for about a third.
const MEMORY: f64 = 5.0;
/// Least time between two updates of the bar.
const PAUSE: Duration = Duration::from_millis(100);

/// A progress bar on a terminal, and a line per evaluation anywhere.
pub struct ProgressDisplay {
    bar: Option<ProgressBar>,
    total: u64,
    chars_per_step: f64,
    /// The unit of a speed.
    per_second: &'static str,
    means: Option<MovingMeans>,
    drawn: Instant,
    steps: u64,
    seconds: f64,
}

/// Exponential moving means.
#[derive(Clone, Copy)]
struct MovingMeans {
    loss: f64,
    steps_per_second: f64,
}

impl ProgressDisplay {
    /// Starts the display at the current step of a run.
    pub fn new(progress: &Progress, chars_per_step: u64, unit: Unit) -> Self {
        let bar = shows_bars().then(|| draw_bar(progress));
        Self {
            bar,
            total: progress.total_steps,
            chars_per_step: chars_per_step as f64,
            per_second: per_second(unit),
            means: None,
            drawn: Instant::now(),
            steps: progress.step,
            seconds: progress.seconds,
        }
    }

    /// After each step; costs nothing without a terminal.
    pub fn step(&mut self, report: &StepReport, progress: &Progress) {
        let Some(bar) = &self.bar else { return };
        if self.drawn.elapsed() < PAUSE && self.means.is_some() {
            return;
        }
        let elapsed = (progress.seconds - self.seconds).max(1e-9);
        let rate = (report.step - self.steps) as f64 / elapsed;
        let means = match self.means {
            None => MovingMeans { loss: report.loss, steps_per_second: rate },
            Some(old) => old.moved(report.loss, rate, elapsed),
        };
        bar.set_position(report.step);
        bar.set_message(self.message(means, report.step));
        (self.means, self.drawn) = (Some(means), Instant::now());
        (self.steps, self.seconds) = (report.step, progress.seconds);
    }

    fn message(&self, means: MovingMeans, step: u64) -> String {
        let left = self.total.saturating_sub(step) as f64 / means.steps_per_second;
        format!(
            "loss {}  {} {}  {} left",
            loss_and_bits(means.loss),
            short(means.steps_per_second * self.chars_per_step),
            self.per_second,
            clock(left)
        )
    }

    /// Prints the line of an evaluation above the bar.
    pub fn evaluation(&self, record: &Record) {
        self.line(&evaluation_line(record, self.total, self.per_second));
    }

    /// Prints a line above the bar.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(text)),
            None => note(text),
        }
    }
}

impl Drop for ProgressDisplay {
    /// Removes the bar, so that the next output starts on a new line.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl MovingMeans {
    fn moved(self, loss: f64, rate: f64, elapsed: f64) -> Self {
        let keep = (-elapsed / MEMORY).exp();
        let mix = |old: f64, new: f64| keep * old + (1.0 - keep) * new;
        Self { loss: mix(self.loss, loss), steps_per_second: mix(self.steps_per_second, rate) }
    }
}

fn draw_bar(progress: &Progress) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:28.cyan/blue.dim} {pos}/{len}  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸━");
    let target = ProgressDrawTarget::stderr_with_hz(10);
    let bar = ProgressBar::with_draw_target(Some(progress.total_steps), target).with_style(style);
    bar.set_position(progress.step);
    bar
}

fn evaluation_line(record: &Record, total: u64, per_second: &str) -> String {
    let width = grouped(total).len();
    let mut line = format!("step {:>width$}/{}", grouped(record.step), grouped(total));
    line += &format!("   train {}", loss(record.train_loss));
    if let Some(nats) = record.val_loss {
        line += &format!("   val {}", loss_and_bits(nats));
    }
    if let Some(share) = record.val_accuracy {
        line += &format!("   accuracy {}", percent(share));
    }
    let (rate, speed) = (learning_rate(record.learning_rate), short(record.chars_per_second));
    line + &format!("   rate {rate:<8}   {speed} {per_second}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            step: 49,
            chars: 100_352,
            seconds: 1.0,
            train_loss: 2.5,
            val_loss: Some(2.25),
            val_accuracy: Some(0.342),
            learning_rate: 4e-3,
            chars_per_second: 101_234.0,
        }
    }

    #[test]
    fn an_evaluation_is_one_line() {
        assert_eq!(
            evaluation_line(&record(), 4900, per_second(Unit::Char)),
            "step    49/4,900   train 2.5000   val 2.2500 (3.246 bits)   accuracy 34.2%   rate 0.004      101k chars/s"
        );
        let without = Record { val_loss: None, val_accuracy: None, ..record() };
        assert!(!evaluation_line(&without, 4900, per_second(Unit::Ids)).contains("val"));
    }

    #[test]
    fn moving_means_follow_slowly() {
        let start = MovingMeans { loss: 2.0, steps_per_second: 10.0 };
        let soon = start.moved(1.0, 20.0, 0.1);
        assert!(soon.loss > 1.97 && soon.steps_per_second < 10.3);
        let later = start.moved(1.0, 20.0, 100.0);
        assert!(later.loss < 1.001 && later.steps_per_second > 19.99);
    }
}
