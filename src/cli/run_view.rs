//! A run as those see it who only read: `watch`, `report` and `compare`.

use super::{
    curves::Curves,
    failure::Failure,
    figures::{layers, symbols},
    run_folder::{METRICS, RunFolder, SAMPLES, STEPS, Sample, State, Status, Step, Tail, Trained, Which},
};
use std::path::{Path, PathBuf};
use unrolled::{InputKind, Settings, checkpoint::Checkpoint, train::Record};

/// What is known of a run, from its files and one of its checkpoints.
#[derive(Debug)]
pub struct RunView {
    /// Its files.
    pub folder: RunFolder,
    /// The folder or checkpoint that was named.
    named: PathBuf,
    /// The text of its `config.toml`: where that is another one by now, so is the run.
    config: Option<String>,
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
    /// Finds a run and reads its files; with none named, it is the newest under `runs/`.
    pub fn find(run: Option<&Path>) -> Result<Self, Failure> {
        let named = match run {
            Some(run) => run.to_owned(),
            None => RunFolder::newest()?.path().to_owned(),
        };
        let mut view = Self::of(named)?;
        view.refresh()?;
        Ok(view)
    }

    /// What a checkpoint tells: the last, where a folder is named, since it is that which knows where the run stands.
    fn of(named: PathBuf) -> Result<Self, Failure> {
        let last = Trained::find(Some(&named), Some(Which::Last));
        let trained = last.or_else(|_| Trained::find(Some(&named), None))?;
        let checkpoint = trained.load()?;
        let folder = trained.folder;
        Ok(Self {
            config: folder.read_config(),
            steps: Tail::at(folder.file(STEPS)),
            samples: Tail::at(folder.file(SAMPLES)),
            metrics: Tail::at(folder.file(METRICS)),
            status: standing(&checkpoint),
            parameters: checkpoint.parameters.layout.count(),
            symbols: checkpoint.vocabulary.len(),
            settings: checkpoint.settings,
            stored: checkpoint.progress.history,
            writer: folder.writer(),
            folder,
            named,
        })
    }

    /// Reads what the run has written since, or what another has that is in its place by now.
    ///
    /// # Errors
    /// Also for a run that is gone; what was known of it stays.
    pub fn refresh(&mut self) -> Result<(), Failure> {
        self.writer = self.folder.writer();
        if self.folder.read_config() != self.config {
            *self = Self::of(self.named.clone())?;
        }
        self.steps.refresh()?;
        self.samples.refresh()?;
        self.metrics.refresh()?;
        if let Some(status) = self.folder.status() {
            self.status = status;
        }
        Ok(())
    }

    /// What people call it: the folder's path, or that of a checkpoint without a run folder.
    pub fn name(&self) -> String {
        match self.folder.path() {
            path if self.config.is_none() || path.as_os_str().is_empty() => self.named.display().to_string(),
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
        (self.settings.run.batch * self.settings.run.steps * self.settings.run.accumulate) as u64
    }

    /// The evaluation with the lowest validation loss.
    pub fn best(&self) -> Option<&Record> {
        let known = self.history().iter().filter(|record| record.val_loss.is_some());
        known.min_by(|a, b| a.val_loss.unwrap_or(f64::NAN).total_cmp(&b.val_loss.unwrap_or(f64::NAN)))
    }

    /// What its symbols are called.
    pub fn unit(&self) -> &'static str {
        symbols(self.settings.data.unit)
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
    let stack = settings.model.stack();
    let first = stack.first().map_or(settings.model.hidden, |layer| layer.hidden);
    let input = match settings.model.input {
        InputKind::OneHot => "one-hot input".to_owned(),
        InputKind::Embedding => format!("embedding of {}", settings.model.embedding.unwrap_or(first)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use unrolled::{ModelSettings, RunSettings};
    use unrolled::{corpus::Corpus, train::Training};

    /// A run at its beginning, in a folder.
    fn begin(folder: &Path, hidden: usize) {
        let settings = Settings {
            model: ModelSettings { hidden, ..ModelSettings::default() },
            run: RunSettings { batch: 2, steps: 4, max_steps: Some(9), ..RunSettings::default() },
            ..Settings::default()
        };
        let corpus = Corpus::embedded(settings.data.unit).expect("a text");
        let training = Training::new(corpus, settings, Some(1)).expect("a run");
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join("config.toml"), format!("hidden = {hidden}\n")).expect("written");
        training.checkpoint().save(&folder.join("checkpoint.safetensors")).expect("written");
    }

    #[test]
    fn a_run_that_is_gone_is_told_and_another_in_its_place_is_seen() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let here = home.path().join("here");
        begin(&here, 3);
        let mut view = RunView::find(Some(&here)).expect("a run");
        fs::remove_dir_all(&here).expect("removed");
        let told = view.refresh().expect_err("gone").to_string();
        assert!(
            told.contains("here: no such run folder") && view.model().contains("1 layer of 3,"),
            "{told}"
        );
        begin(&here, 5);
        view.refresh().expect("another run");
        assert!(view.model().contains("1 layer of 5,"), "{}", view.model());
    }

    #[test]
    fn checkpoints_without_a_run_are_told_apart() {
        let home = tempfile::tempdir().expect("a temporary folder");
        begin(home.path(), 3);
        let name = |file: &Path| RunView::find(Some(file)).expect("a checkpoint").name();
        let last = home.path().join("checkpoint.safetensors");
        assert_eq!(name(&last), home.path().display().to_string());
        fs::remove_file(home.path().join("config.toml")).expect("removed");
        assert_eq!(name(&last), last.display().to_string());
    }
}
