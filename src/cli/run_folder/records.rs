//! The records in `steps.jsonl`, `samples.jsonl` and `status.json`.

use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};
use unrolled::train::{Logged, Progress};

/// A line of `steps.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// A point of the training curve.
    #[serde(flatten)]
    pub logged: Logged,
    /// Time of writing, in seconds since 1970.
    pub time: f64,
}

/// A line of `samples.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// Optimizer steps done.
    pub step: u64,
    /// The text that the model wrote.
    pub text: String,
}

/// `status.json`: the state of a run, at most about a second old.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    /// The state of the run now, or at its end.
    pub state: RunState,
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps of the whole run.
    pub total_steps: u64,
    /// Time spent training.
    pub seconds: f64,
    /// Mean training loss of the last steps; null before the first step.
    pub loss: Option<f64>,
    /// Symbols per second of training over the last steps; null before the first step.
    pub chars_per_second: Option<f64>,
    /// Time of writing, in seconds since 1970.
    pub time: f64,
}

/// The state of a run. If its process was killed, the state stays as it was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// The run trains.
    Training,
    /// The run has reached its length, or its patience has run out.
    Done,
    /// `--stop-after`, a signal or an error has stopped the run; it can be resumed.
    Stopped,
}

/// Number of points whose mean is shown as the current loss and speed.
const RECENT: usize = 32;

impl RunStatus {
    /// Describes a run now; `steps` is its training curve.
    pub fn new(state: RunState, progress: &Progress, chars_per_step: u64, steps: &[CurvePoint]) -> Self {
        let recent = &steps[steps.len().saturating_sub(RECENT)..];
        let since = &progress.since_log;
        // The steps since the last point, if any, count as one more point.
        let unlogged = (since.steps > 0).then(|| {
            let speed = (since.steps * chars_per_step) as f64 / since.seconds.max(1e-9);
            (since.loss_sum / since.steps as f64, speed)
        });
        let logged = recent.iter().map(|step| (step.logged.loss, step.logged.chars_per_second));
        let parts: Vec<(f64, f64)> = logged.chain(unlogged).collect();
        let count = parts.len() as f64;
        let loss: f64 = parts.iter().map(|(loss, _)| loss).sum();
        // Each point has the same number of symbols: the mean of the times, not of the speeds.
        let time: f64 = parts.iter().map(|(_, speed)| 1.0 / speed).sum();
        Self {
            state,
            step: progress.step,
            total_steps: progress.total_steps,
            seconds: progress.seconds,
            loss: (count > 0.0).then(|| loss / count),
            chars_per_second: (count > 0.0).then(|| count / time),
            time: now(),
        }
    }
}

/// Returns the seconds since 1970; 0 for a clock before that.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
