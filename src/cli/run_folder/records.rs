//! What the files of a run hold besides its evaluations.

use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};
use unrolled::train::{Logged, Progress};

/// A line of `steps.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// A point of the training curve.
    #[serde(flatten)]
    pub logged: Logged,
    /// When it was written, in seconds since 1970.
    pub time: f64,
}

/// A line of `samples.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// Optimiser steps done.
    pub step: u64,
    /// What the model wrote.
    pub text: String,
}

/// `status.json`: where a run stands, about a second ago.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    /// What the run is at, or how it ended.
    pub state: RunState,
    /// Optimiser steps done.
    pub step: u64,
    /// Optimiser steps of the whole run.
    pub total_steps: u64,
    /// Time spent training.
    pub seconds: f64,
    /// Mean training loss of the last steps; null before the first.
    pub loss: Option<f64>,
    /// Symbols per second of training of the last steps; null before the first.
    pub chars_per_second: Option<f64>,
    /// When it was written, in seconds since 1970.
    pub time: f64,
}

/// What a run is at. A run whose process was killed has the state that it was killed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Steps are taken.
    Training,
    /// The horizon is reached, or patience has come to its end.
    Done,
    /// `--stop-after`, a signal, or an error: the run can be resumed.
    Stopped,
}

/// Points whose mean tells how a run goes now.
const RECENT: usize = 32;

impl RunStatus {
    /// Of a run here and now, whose training curve is `steps`.
    pub fn new(state: RunState, progress: &Progress, chars_per_step: u64, steps: &[CurvePoint]) -> Self {
        let recent = &steps[steps.len().saturating_sub(RECENT)..];
        let since = &progress.since_log;
        // Those since the last point, which may be many or none, count as one more.
        let unlogged = (since.steps > 0).then(|| {
            let speed = (since.steps * chars_per_step) as f64 / since.seconds.max(1e-9);
            (since.loss_sum / since.steps as f64, speed)
        });
        let logged = recent.iter().map(|step| (step.logged.loss, step.logged.chars_per_second));
        let parts: Vec<(f64, f64)> = logged.chain(unlogged).collect();
        let count = parts.len() as f64;
        let loss: f64 = parts.iter().map(|(loss, _)| loss).sum();
        // Equal numbers of symbols: the mean of their times, not of their speeds.
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

/// Seconds since 1970; a clock before that counts as 0.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
