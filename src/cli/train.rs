//! `unrolled train`: from a text to a run folder.

use super::{
    config::{Config, overlay, table_of},
    failure::Failure,
    figures::memory,
    options::SettingsFlags,
    output::note,
    run_folder::{RunFolder, Trained},
    run_options::RunOptions,
    signals::Signals,
    text::{Again, Text, check_documents, note_streams, remedy},
};
use clap::{Args, builder::PossibleValuesParser, value_parser};
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};
use unrolled::{
    Error, Preset, Schedule, Settings,
    checkpoint::Checkpoint,
    corpus::{Corpus, Vocabulary},
    model::memory_needed,
    train::Training,
};

mod curve;
mod events;
mod keeper;
mod session;
use keeper::Keeper;
use session::Session;

/// Train a model on a text
#[derive(Args)]
pub struct Train {
    /// Files and folders of the text, and - for standard input [default: the text inside this program]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Folder for the run's files [default: runs/1, runs/2, ...]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Settings from a TOML file with these names; flags win
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Published settings to start from; `unrolled presets` describes them
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Preset::NAMES), conflicts_with = "resume")]
    preset: Option<String>,
    /// Pause with a checkpoint at step N; the horizon stays
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    stop_after: Option<u64>,
    /// Continue the run in --out where it stopped
    #[arg(long, requires = "out")]
    resume: bool,
    /// Go on with --resume although the text is another one now
    #[arg(long, requires = "resume")]
    accept_changed_text: bool,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// One JSON object per evaluation on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    settings: SettingsFlags,
}

impl Train {
    /// Starts or continues a run, and trains until it is done, paused, or interrupted.
    pub fn run(&self) -> Result<(), Failure> {
        let session = match (&self.out, self.resume) {
            (Some(out), true) => self.resume(out)?,
            _ => self.start()?,
        };
        // Only now is there something to save: until here a signal ends the process at once, as it would any other.
        let signals = Signals::listen().map_err(|source| Error::Io {
            action: "listen to",
            path: "SIGINT and SIGTERM".into(),
            source,
        })?;
        session.drive(&signals)
    }

    fn start(&self) -> Result<Session, Failure> {
        let config = self.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
        let settings = config.settings(self.preset.as_deref(), &self.settings)?;
        settings.validate()?;
        if let Some(out) = &self.out {
            RunFolder::at(out).check_free()?;
        }
        let paths = match self.paths.is_empty() {
            true => config.paths().unwrap_or_default(),
            false => &self.paths,
        };
        let run = self.run.clone().or(config.run.clone());
        note_streams(paths);
        let recorded = super::config::record(&settings, paths, &run)?;
        let training = self.new_training(paths, settings, &run)?;
        let folder = RunFolder::create(self.out.as_deref(), &recorded)?;
        self.begin(training, Keeper::new(folder, run, recorded))
    }

    /// A run whose process was killed before its first checkpoint: it begins again, in the folder that it has.
    fn start_again(&self, folder: RunFolder) -> Result<Session, Failure> {
        let config = Config::read(&folder.config())?;
        let stored = config.settings(None, &SettingsFlags::default())?;
        let settings = self.resumed_settings(folder.path(), &stored)?;
        settings.validate()?;
        let paths = self.resumed_paths(&config, folder.path())?;
        let run = self.run.clone().or(config.run.clone());
        let recorded = super::config::record(&settings, &paths, &run)?;
        let training = self.new_training(&paths, settings, &run)?;
        folder.write_config(&recorded)?;
        note(&format!(
            "{}: stopped before its first checkpoint, so it begins again",
            folder.path().display()
        ));
        self.begin(training, Keeper::new(folder, run, recorded))
    }

    /// A run at its beginning, with weights of its own or of another run.
    fn new_training(
        &self,
        paths: &[PathBuf],
        settings: Settings,
        run: &RunOptions,
    ) -> Result<Training, Failure> {
        let from =
            run.init_from.as_deref().map(|from| Trained::find(Some(from), None)?.load()).transpose()?;
        let vocabulary = from.as_ref().map(|from| &from.vocabulary);
        let corpus = text(paths, &settings, vocabulary, run).open()?;
        check_documents(&corpus, &settings)?;
        check_memory(&settings, &corpus, run)?;
        Ok(match from {
            Some(from) => Training::from_model(corpus, settings, from.model()?, self.threads())?,
            None => Training::new(corpus, settings, self.threads())?,
        })
    }

    /// Writes the first files of a run. Its first checkpoint finds a full disk early, and makes the run one that can be
    /// resumed.
    fn begin(&self, training: Training, mut keeper: Keeper) -> Result<Session, Failure> {
        keeper.folder().write_manifest(training.corpus())?;
        keeper.first(&training)?;
        self.session(training, keeper)
    }

    fn resume(&self, out: &Path) -> Result<Session, Failure> {
        if !out.is_dir() {
            return Err(nothing_to_resume(out));
        }
        let folder = RunFolder::hold(out)?;
        let Some(checkpoint) = load(&folder)? else {
            return match folder.config().exists() {
                true => self.start_again(folder),
                false => Err(nothing_to_resume(out)),
            };
        };
        let settings = self.resumed_settings(out, &checkpoint.settings)?;
        settings.validate()?;
        let config = Config::read(&folder.config())?;
        let (paths, run) = (self.resumed_paths(&config, out)?, self.run.clone().or(config.run.clone()));
        let vocabulary = self.accept_changed_text.then_some(&checkpoint.vocabulary);
        let text = text(&paths, &settings, vocabulary, &run);
        let opened = text.reopen(checkpoint.progress.corpus_fingerprint);
        let corpus = opened.map_err(|failure| Again::resume(out).explain(failure, &paths))?;
        check_memory(&settings, &corpus, &run)?;
        let checkpoint = self.check_text(&corpus, &paths, checkpoint, out)?;
        let recorded = super::config::record(&settings, &paths, &run)?;
        let training = Training::resume(corpus, checkpoint, settings, self.threads())?;
        self.check_pause(&training)?;
        folder.write_config(&recorded)?;
        folder.write_manifest(training.corpus())?;
        let mut keeper = Keeper::new(folder, run, recorded);
        keeper.resume(&training)?;
        self.session(training, keeper)
    }

    fn resumed_paths(&self, config: &Config, out: &Path) -> Result<Vec<PathBuf>, Failure> {
        if !self.paths.is_empty() {
            return Ok(self.paths.clone());
        }
        let paths = config.paths().unwrap_or_default().to_vec();
        Again::resume(out).check(&paths)?;
        Ok(paths)
    }

    fn session(&self, training: Training, keeper: Keeper) -> Result<Session, Failure> {
        let resumed = self.resume;
        Ok(Session {
            training,
            keeper,
            resumed,
            json: self.json,
            stop_after: self.stop_after,
            threads: self.threads(),
        })
    }

    /// Refuses another text than the run's, unless the user insists: then the run goes on with it.
    fn check_text(
        &self,
        corpus: &Corpus,
        paths: &[PathBuf],
        mut checkpoint: Checkpoint,
        run: &Path,
    ) -> Result<Checkpoint, Failure> {
        let (found, expected) = (corpus.fingerprint(), checkpoint.progress.corpus_fingerprint);
        if found == expected {
            return Ok(checkpoint);
        }
        if !self.accept_changed_text {
            return Err(Failure::OtherText {
                text: corpus.name(),
                run: run.to_owned(),
                difference: RunFolder::at(run).difference(corpus),
                found,
                expected,
                remedy: remedy(paths),
            });
        }
        note(&format!("{} is another text than before; the run goes on with it", corpus.name()));
        checkpoint.progress.corpus_fingerprint = found;
        Ok(checkpoint)
    }

    fn threads(&self) -> Option<usize> {
        self.threads.map(NonZeroUsize::get)
    }

    /// The stored settings, with what a resumed run may change.
    fn resumed_settings(&self, out: &Path, stored: &Settings) -> Result<Settings, Failure> {
        let flags = self.settings.table();
        let asked = overlay(stored, [&flags].into_iter())?;
        let (before, after) = (table_of(stored)?, table_of(&asked)?);
        for key in flags.keys().filter(|key| before.get(*key) != after.get(*key)) {
            let found = before.get(key).map_or("none".to_owned(), ToString::to_string);
            check_change(key, &found, stored.schedule, out)?;
        }
        Ok(asked)
    }

    fn check_pause(&self, training: &Training) -> Result<(), Failure> {
        let step = training.progress().step;
        match self.stop_after {
            Some(stop) if stop <= step && !training.is_done() => Err(Failure::Usage(format!(
                "--stop-after {stop}: the run is at step {step} already: name a later step"
            ))),
            _ => Ok(()),
        }
    }
}

/// Whether a run may be resumed with another value of `key`.
fn check_change(key: &str, stored: &str, schedule: Schedule, out: &Path) -> Result<(), Failure> {
    let run = out.display();
    match key {
        "mode" => Ok(()),
        "epochs" | "max-steps" | "max-chars" if schedule == Schedule::Constant => Ok(()),
        "epochs" | "max-steps" | "max-chars" => Err(Failure::Usage(format!(
            "--{key}: the {} schedule of {run} spans the horizon it began with ({key}: {stored}), so it cannot move: \
             only a run with --schedule constant can be resumed with another horizon",
            schedule.name()
        ))),
        _ => Err(Failure::Usage(format!(
            "--{key} contradicts the run in {run}, which has {key} = {stored}: leave the flag out, \
             or start a new run with another --out"
        ))),
    }
}

/// The newest checkpoint that is intact; none where there is none at all. The best one comes last: it is seldom the newest.
fn load(folder: &RunFolder) -> Result<Option<Checkpoint>, Failure> {
    let mut first_error = None;
    let mut files = vec![folder.last()];
    files.extend(folder.earlier().into_iter().map(|(_, path)| path));
    files.push(folder.best());
    for file in files.into_iter().filter(|file| file.exists()) {
        match Checkpoint::load(&file) {
            Ok(checkpoint) => {
                let missing = || format!("{} is not there", folder.last().display());
                if file != folder.last() {
                    let (from, step) = (file.display(), checkpoint.progress.step);
                    let why = first_error.map_or_else(missing, |error: Error| error.to_string());
                    note(&format!("warning: {why}; going on from {from}, which is intact, at step {step}"));
                }
                return Ok(Some(checkpoint));
            }
            Err(error @ Error::CheckpointVersion { .. }) => return Err(error.into()),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map_or(Ok(None), |error| Err(error.into()))
}

fn nothing_to_resume(out: &Path) -> Failure {
    Failure::NoRun {
        path: RunFolder::at(out).last(),
        problem: "no such checkpoint, so there is nothing to resume: leave --resume out to start a run"
            .to_owned(),
    }
}

fn text<'a>(
    paths: &'a [PathBuf],
    settings: &'a Settings,
    vocabulary: Option<&'a Vocabulary>,
    run: &RunOptions,
) -> Text<'a> {
    Text { paths, settings, vocabulary, max_memory: run.max_memory.map(|most| most.0) }
}

/// Refuses what needs more memory than `--max-memory` grants.
fn check_memory(settings: &Settings, corpus: &Corpus, run: &RunOptions) -> Result<(), Failure> {
    let needed = memory_needed(settings, corpus.vocabulary().len()) + corpus.memory() as f64;
    match run.max_memory {
        Some(most) if needed > most.0 as f64 => Err(Failure::Usage(format!(
            "--max-memory {}: this run needs about {}; raise it, or lower hidden, layers, embedding, batch or steps",
            memory(most.0 as f64),
            memory(needed)
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(key: &str, schedule: Schedule) -> Option<String> {
        check_change(key, "256", schedule, Path::new("runs/1")).err().map(|failure| failure.to_string())
    }

    #[test]
    fn a_resumed_run_keeps_what_decides_its_result() {
        assert_eq!(told("mode", Schedule::Cosine), None);
        assert_eq!(told("max-steps", Schedule::Constant), None);
        let hidden = told("hidden", Schedule::Constant).expect("refused");
        assert!(
            hidden.starts_with("--hidden contradicts the run in runs/1, which has hidden = 256"),
            "{hidden}"
        );
        let horizon = told("epochs", Schedule::Cosine).expect("refused");
        assert!(horizon.contains("the cosine schedule of runs/1 spans the horizon"), "{horizon}");
    }
}
