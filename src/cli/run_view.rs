//! A run as those see it who only read: `watch`, `report` and `compare`.

use super::{
    curves::Curves,
    failure::Failure,
    figures::layers,
    run_folder::{RunFolder, Sample, State, Status, Step, Tail, Trained},
};
use std::path::{Path, PathBuf};
use unrolled::{InputKind, Settings, Unit, checkpoint::Checkpoint, train::Record};

/// What is known of a run, from its files and one of its checkpoints.
#[derive(Debug)]
pub struct RunView {
    /// Its files.
    pub folder: RunFolder,
    /// The checkpoint.
    pub file: PathBuf,
    /// What decides its numbers.
    pub settings: Settings,
    /// Of all tensors.
    pub parameters: usize,
    /// Symbols of the vocabulary.
    pub symbols: usize,
    /// The points of its training curve.
    pub steps: Tail<Step>,
    /// The texts that it wrote.
    pub samples: Tail<Sample>,
    metrics: Tail<Record>,
    /// The evaluations in the checkpoint, for a checkpoint without a run folder.
    stored: Vec<Record>,
    status: Status,
    writer: Option<String>,
}

impl RunView {
    /// Finds a run as `sample` does, and reads its files.
    pub fn find(run: Option<&Path>) -> Result<Self, Failure> {
        let trained = Trained::find(run, None)?;
        let checkpoint = trained.load()?;
        let Trained { folder, file } = trained;
        let mut view = Self {
            steps: Tail::at(folder.file("steps.jsonl")),
            samples: Tail::at(folder.file("samples.jsonl")),
            metrics: Tail::at(folder.file("metrics.jsonl")),
            status: standing(&checkpoint),
            parameters: checkpoint.parameters.layout.count(),
            symbols: checkpoint.vocabulary.len(),
            settings: checkpoint.settings,
            stored: checkpoint.progress.history,
            writer: None,
            folder,
            file,
        };
        view.refresh()?;
        Ok(view)
    }

    /// Reads what the run has written since.
    pub fn refresh(&mut self) -> Result<(), Failure> {
        self.steps.refresh()?;
        self.samples.refresh()?;
        self.metrics.refresh()?;
        self.writer = self.folder.writer();
        if let Some(status) = self.folder.status() {
            self.status = status;
        }
        Ok(())
    }

    /// What people call it: the folder's path.
    pub fn name(&self) -> String {
        match self.folder.path() {
            path if path.as_os_str().is_empty() => self.file.display().to_string(),
            path => path.display().to_string(),
        }
    }

    /// The evaluations.
    pub fn history(&self) -> &[Record] {
        if self.metrics.items.is_empty() { &self.stored } else { &self.metrics.items }
    }

    /// Where it stands.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// "training (process 123)", "done", "stopped".
    pub fn state(&self) -> String {
        match (&self.writer, self.status.state) {
            (Some(writer), _) => format!("training ({writer})"),
            (None, State::Done) => "done".to_owned(),
            (None, _) => "stopped".to_owned(),
        }
    }

    /// Whether a process writes it.
    pub fn is_running(&self) -> bool {
        self.writer.is_some()
    }

    /// Seconds of training that are left at the speed of the last steps; `None` for a run that stands.
    pub fn seconds_left(&self) -> Option<f64> {
        let speed = self.status.chars_per_second.filter(|_| self.is_running())?;
        let steps = self.status.total_steps.saturating_sub(self.status.step);
        Some((steps * self.chars_per_step()) as f64 / speed)
    }

    /// Symbols per optimiser step.
    pub fn chars_per_step(&self) -> u64 {
        (self.settings.batch * self.settings.steps * self.settings.accumulate) as u64
    }

    /// The evaluation with the lowest validation loss.
    pub fn best(&self) -> Option<&Record> {
        let known = self.history().iter().filter(|record| record.val_loss.is_some());
        known.min_by(|a, b| a.val_loss.unwrap_or(f64::NAN).total_cmp(&b.val_loss.unwrap_or(f64::NAN)))
    }

    /// What its symbols are called.
    pub fn unit(&self) -> &'static str {
        match self.settings.unit {
            Unit::Char => "characters",
            Unit::Byte => "bytes",
        }
    }

    /// `LSTM, 1 layer of 256, embedding of 256`.
    pub fn model(&self) -> String {
        model_line(&self.settings)
    }

    /// Its curves.
    pub fn curves<'a>(&'a self, name: &'a str) -> Curves<'a> {
        Curves { name, unit: self.unit(), steps: &self.steps.items, history: self.history() }
    }
}

/// A model in a few words.
pub fn model_line(settings: &Settings) -> String {
    let stack = settings.stack();
    let first = stack.first().map_or(settings.hidden, |layer| layer.hidden);
    let input = match settings.input {
        InputKind::OneHot => "one-hot input".to_owned(),
        InputKind::Embedding => format!("embedding of {}", settings.embedding.unwrap_or(first)),
    };
    format!("{}, {input}", layers(settings))
}

/// Of a run without a `status.json`.
fn standing(checkpoint: &Checkpoint) -> Status {
    let progress = &checkpoint.progress;
    let last = progress.history.last();
    Status {
        state: if progress.step >= progress.total_steps { State::Done } else { State::Stopped },
        step: progress.step,
        total_steps: progress.total_steps,
        seconds: progress.seconds,
        loss: last.map(|record| record.train_loss),
        chars_per_second: last.map(|record| record.chars_per_second),
        time: 0.0,
    }
}
