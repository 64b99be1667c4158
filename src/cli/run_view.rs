//! A run as the commands that only read show it: `watch`, `report` and `compare`.

use super::{
    failure::Failure,
    number_format::{counted, layers, symbols},
    run_curves::RunCurves,
    run_folder::{
        CheckpointChoice, CorpusManifest, CurvePoint, FileSize, LinesReader, METRICS, RunCheckpoint,
        RunFolder, RunState, RunStatus, SAMPLES, STEPS, SampleRecord, file_size,
    },
};
use std::path::{Path, PathBuf};
use unrolled::{
    InputKind, Settings,
    checkpoint::Checkpoint,
    train::{Progress, Record},
};

/// The state of a run, from its files and one of its checkpoints.
#[derive(Debug)]
pub struct RunView {
    /// The folder of the run; `None` for an exported or copied checkpoint.
    folder: Option<RunFolder>,
    /// The folder or checkpoint that was named.
    named: PathBuf,
    /// The text of `config.toml`. If it changes, another run has replaced this one.
    config: Option<String>,
    /// The settings.
    pub settings: Settings,
    /// Number of parameters in all tensors.
    pub parameters: usize,
    /// Number of symbols in the vocabulary.
    pub symbols: usize,
    /// True if the weights are 8-bit integers. The losses are those of the run before.
    quantized: bool,
    /// The points of the training curve.
    pub steps: LinesReader<CurvePoint>,
    /// The samples drawn during training.
    pub samples: LinesReader<SampleRecord>,
    metrics: LinesReader<Record>,
    /// The progress in the checkpoint, for a checkpoint without a run folder.
    stored: Progress,
    status: RunStatus,
    writer: Option<String>,
}

impl RunView {
    /// Finds a run and reads its files; with `None`, the newest run under `runs/`.
    pub fn find(run: Option<&Path>) -> Result<Self, Failure> {
        let named = match run {
            Some(run) => run.to_owned(),
            None => RunFolder::newest()?.path().to_owned(),
        };
        let mut view = Self::of(named)?;
        view.refresh()?;
        Ok(view)
    }

    /// Loads a checkpoint. In a run folder it is the last one, which has the newest progress.
    fn of(named: PathBuf) -> Result<Self, Failure> {
        let last = RunCheckpoint::find(Some(&named), Some(CheckpointChoice::Last));
        let trained = last.or_else(|_| RunCheckpoint::find(Some(&named), None))?;
        let checkpoint = trained.load()?;
        let is_of_run = trained.run_folder().is_some();
        let folder = trained.folder;
        let (steps, samples, metrics) = (folder.file(STEPS), folder.file(SAMPLES), folder.file(METRICS));
        let folder = Some(folder).filter(|_| is_of_run);
        Ok(Self {
            config: folder.as_ref().and_then(RunFolder::read_config),
            steps: LinesReader::at(steps),
            samples: LinesReader::at(samples),
            metrics: LinesReader::at(metrics),
            status: status_from(&checkpoint),
            parameters: checkpoint.parameters.layout.count(),
            symbols: checkpoint.vocabulary.len(),
            quantized: checkpoint.quantized,
            settings: checkpoint.settings,
            stored: checkpoint.progress,
            writer: folder.as_ref().and_then(RunFolder::writer),
            folder,
            named,
        })
    }

    /// Reads what the run has written since, or loads the run that has replaced it.
    ///
    /// # Errors
    /// Also for a run that was deleted; this view then stays the same.
    pub fn refresh(&mut self) -> Result<(), Failure> {
        let Some(folder) = &self.folder else { return Ok(()) };
        self.writer = folder.writer();
        if folder.read_config() != self.config {
            *self = Self::of(self.named.clone())?;
        }
        self.steps.refresh()?;
        self.samples.refresh()?;
        self.metrics.refresh()?;
        if let Some(status) = self.folder.as_ref().and_then(RunFolder::status) {
            self.status = status;
        }
        Ok(())
    }

    /// Returns the list of the files of the corpus, if the run has one.
    pub fn manifest(&self) -> Option<CorpusManifest> {
        self.folder.as_ref()?.manifest()
    }

    /// Lists the files of the run.
    pub fn files(&self) -> Vec<FileSize> {
        match &self.folder {
            Some(folder) => folder.file_sizes(),
            None => file_size(&self.named).into_iter().collect(),
        }
    }

    /// Returns the path of a page about the run: `name` in its folder, or a file beside an exported
    /// or copied checkpoint.
    pub fn page(&self, name: &str) -> PathBuf {
        match &self.folder {
            Some(folder) => folder.file(name),
            None => self.named.with_extension("html"),
        }
    }

    /// Returns the path of the folder, or of a checkpoint without a run folder.
    pub fn name(&self) -> String {
        let folder = self.folder.as_ref().filter(|_| self.config.is_some()).map(RunFolder::path);
        folder.filter(|path| !path.as_os_str().is_empty()).unwrap_or(&self.named).display().to_string()
    }

    /// Returns the evaluations.
    pub fn history(&self) -> &[Record] {
        if self.metrics.items.is_empty() { &self.stored.history } else { &self.metrics.items }
    }

    /// Returns the status.
    pub fn status(&self) -> &RunStatus {
        &self.status
    }

    /// Returns "training (process 123)", "done" or "stopped".
    pub fn state(&self) -> String {
        match (&self.writer, self.status.state) {
            (Some(writer), _) => format!("training ({writer})"),
            (None, RunState::Done) => "done".to_owned(),
            (None, _) => "stopped".to_owned(),
        }
    }

    /// Returns whether a process trains the run.
    pub fn is_running(&self) -> bool {
        self.writer.is_some()
    }

    /// Returns the seconds left at the speed of the last steps; `None` for a run that is not
    /// training.
    pub fn seconds_left(&self) -> Option<f64> {
        let speed = self.status.chars_per_second.filter(|_| self.is_running())?;
        let steps = self.status.total_steps.saturating_sub(self.status.step);
        Some((steps * self.chars_per_step()) as f64 / speed)
    }

    /// Returns the number of symbols per optimizer step.
    pub fn chars_per_step(&self) -> u64 {
        (self.settings.run.batch * self.settings.run.steps * self.settings.run.accumulate) as u64
    }

    /// Returns the evaluation with the lowest validation loss.
    pub fn best(&self) -> Option<&Record> {
        let known = self.history().iter().filter(|record| record.val_loss.is_some());
        known.min_by(|a, b| a.val_loss.unwrap_or(f64::NAN).total_cmp(&b.val_loss.unwrap_or(f64::NAN)))
    }

    /// Returns the plural noun for symbols.
    pub fn unit(&self) -> &'static str {
        symbols(self.settings.data.unit)
    }

    /// Describes the model: `LSTM, 1 layer of 256, embedding of 256`.
    pub fn model(&self) -> String {
        let quantized = if self.quantized { ", quantized to int8" } else { "" };
        format!("{}{quantized}", model_line(&self.settings))
    }

    /// Describes how often the run evaluates and on how many symbols.
    pub fn evaluation_plan(&self) -> String {
        let progress = &self.stored;
        evaluation_plan(progress.eval_every, progress.eval_symbols.or(self.settings.run.eval_symbols))
    }

    /// Returns the curves.
    pub fn curves<'a>(&'a self, name: &'a str) -> RunCurves<'a> {
        RunCurves { name, unit: self.unit(), steps: &self.steps.items, history: self.history() }
    }
}

/// Describes the evaluations: `every 245 steps on the whole validation split`.
pub fn evaluation_plan(every: u64, symbols: Option<u64>) -> String {
    let read = match symbols {
        None => "the whole validation split".to_owned(),
        Some(count) => format!("at most {} of the validation split", counted(count, "symbol")),
    };
    format!("every {} on {read}", counted(every, "step"))
}

/// Describes a model in a few words.
pub fn model_line(settings: &Settings) -> String {
    let stack = settings.model.stack();
    let first = stack.first().map_or(settings.model.hidden, |layer| layer.hidden);
    let input = match settings.model.input {
        InputKind::OneHot => "one-hot input".to_owned(),
        InputKind::Embedding => format!("embedding of {}", settings.model.embedding.unwrap_or(first)),
    };
    format!("{}, {input}", layers(settings))
}

/// Returns the status of a run without a `status.json`.
fn status_from(checkpoint: &Checkpoint) -> RunStatus {
    let progress = &checkpoint.progress;
    let last = progress.history.last();
    RunStatus {
        state: if progress.step >= progress.total_steps { RunState::Done } else { RunState::Stopped },
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

    /// Writes the folder of a run at step 0.
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
    fn a_deleted_run_is_an_error_and_a_new_run_in_its_place_is_shown() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let here = home.path().join("here");
        begin(&here, 3);
        let mut view = RunView::find(Some(&here)).expect("a run");
        fs::remove_dir_all(&here).expect("removed");
        let message = view.refresh().expect_err("gone").to_string();
        assert!(
            message.contains("here: no such run folder") && view.model().contains("1 layer of 3,"),
            "{message}"
        );
        begin(&here, 5);
        view.refresh().expect("another run");
        assert!(view.model().contains("1 layer of 5,"), "{}", view.model());
    }

    #[test]
    fn a_checkpoint_without_a_run_folder_is_named_by_its_path() {
        let home = tempfile::tempdir().expect("a temporary folder");
        begin(home.path(), 3);
        let name = |file: &Path| RunView::find(Some(file)).expect("a checkpoint").name();
        let last = home.path().join("checkpoint.safetensors");
        assert_eq!(name(&last), home.path().display().to_string());
        fs::remove_file(home.path().join("config.toml")).expect("removed");
        assert_eq!(name(&last), last.display().to_string());
    }

    #[test]
    fn an_exported_checkpoint_does_not_show_the_run_of_its_folder() {
        let home = tempfile::tempdir().expect("a temporary folder");
        begin(home.path(), 3);
        let exported = home.path().join("weights.safetensors");
        fs::copy(home.path().join("checkpoint.safetensors"), &exported).expect("copied");
        fs::write(home.path().join("steps.jsonl"), "not a curve\n").expect("written");
        let view = RunView::find(Some(&exported)).expect("a checkpoint");
        assert_eq!((view.name(), view.files().len()), (exported.display().to_string(), 1));
        assert_eq!(view.page("report.html"), home.path().join("weights.html"));
    }
}
