//! `unrolled train`: from a text to a run folder.

use super::{
    config::{Config, overlay},
    failure::Failure,
    figures::memory_apart,
    numbers::whole,
    options::SettingsFlags,
    origin::{Asked, Origin},
    output::note,
    run_folder::RunFolder,
    run_options::RunOptions,
    signals,
    text::{Again, Text, note_streams, remedy},
};
use clap::{Args, builder::PossibleValuesParser};
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};
use unrolled::{
    CheckpointError, Error, Preset, SettingDifference, Settings, checkpoint::Checkpoint, corpus::Corpus,
    model::memory_needed, train::Training,
};

mod curve;
mod events;
mod keeper;
mod resume;
mod session;
use keeper::Keeper;
use resume::refuse_change;
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
    /// Pause with a checkpoint at step N; the run's length and schedule stay as they are
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1))]
    stop_after: Option<u64>,
    /// Continue the run in --out where it stopped
    #[arg(long, requires = "out")]
    resume: bool,
    /// With --resume, also take another learning rate, schedule, clip or length (--epochs, --max-steps, --max-chars): from here
    /// on the run is as if it had begun with them
    #[arg(long, requires = "resume")]
    extend: bool,
    /// Go on with --resume although the text has changed
    #[arg(long, requires = "resume")]
    accept_changed_text: bool,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>(1))]
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
        signals::keep_writing();
        let session = match (&self.out, self.resume) {
            (Some(out), true) => self.resume(out)?,
            _ => self.start()?,
        };
        // Only now is there something to save: until here a signal ends the process at once, as it would any other.
        let signals = session::listen()?;
        session.drive(&signals)
    }

    fn start(&self) -> Result<Session, Failure> {
        self.check_resumes()?;
        let config = self.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
        let run = self.run.clone().or(config.run.clone());
        let asked = Asked {
            config: &config,
            file: self.config.as_deref(),
            preset: self.preset.as_deref(),
            flags: &self.settings,
        };
        let origin = Origin::load(run.init_from.as_deref(), run.vocabulary.as_deref(), &asked)?;
        let settings = origin.settings(&asked)?;
        settings.validate()?;
        if let Some(out) = &self.out {
            RunFolder::at(out).check_free()?;
        }
        let paths = match self.paths.is_empty() {
            true => config.paths().unwrap_or_default(),
            false => &self.paths,
        };
        note_streams(paths);
        let recorded = super::config::record(&settings, paths, &run)?;
        let training = self.new_training(paths, settings, &run, &origin)?;
        let folder = RunFolder::create(self.out.as_deref(), &recorded)?;
        self.begin(training, Keeper::new(folder, run, recorded))
    }

    /// Refuses what is for a run that is resumed. The parser does not, beside a flag that excludes `--resume`.
    fn check_resumes(&self) -> Result<(), Failure> {
        let flags = [("extend", self.extend), ("accept-changed-text", self.accept_changed_text)];
        match flags.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Failure::Usage(format!(
                "--{flag} is for a run that is resumed (--resume --out DIR), and this begins a new one: leave it out"
            ))),
            None => Ok(()),
        }
    }

    /// A run whose process was killed before its first checkpoint: it begins again, in the folder that it has.
    fn start_again(&self, folder: RunFolder) -> Result<Session, Failure> {
        let config = Config::read(&folder.config())?;
        let stored = config.settings(None, &SettingsFlags::default())?;
        let settings = self.resumed_settings(folder.path(), &stored)?;
        settings.validate()?;
        let paths = self.resumed_paths(&config, folder.path())?;
        let run = self.run.clone().or(config.run.clone());
        let (file, flags) = (folder.config(), SettingsFlags::default());
        let asked = Asked { config: &config, file: Some(&file), preset: None, flags: &flags };
        let origin = Origin::load(run.init_from.as_deref(), run.vocabulary.as_deref(), &asked)?;
        origin.settings(&asked)?;
        let recorded = super::config::record(&settings, &paths, &run)?;
        let training = self.new_training(&paths, settings, &run, &origin)?;
        folder.write_config(&recorded)?;
        note(&format!(
            "{}: stopped before its first checkpoint, so it begins again",
            folder.path().display()
        ));
        self.begin(training, Keeper::new(folder, run, recorded))
    }

    /// A run at its beginning, with drawn weights or those of another run.
    fn new_training(
        &self,
        paths: &[PathBuf],
        settings: Settings,
        run: &RunOptions,
        origin: &Origin,
    ) -> Result<Training, Failure> {
        let corpus = origin.open(&text(paths, &settings, run))?;
        check_memory(&settings, &corpus, run)?;
        Ok(match origin.checkpoint() {
            Some(from) => Training::fine_tune(corpus, from, settings, self.threads())?,
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
        let Some(mut checkpoint) = load(&folder)? else {
            return match folder.config().exists() {
                true => self.start_again(folder),
                false => Err(nothing_to_resume(out)),
            };
        };
        let settings = self.resumed_settings(out, &checkpoint.settings)?;
        settings.validate()?;
        let config = Config::read(&folder.config())?;
        let (paths, run) = (self.resumed_paths(&config, out)?, self.run.clone().or(config.run.clone()));
        let opened = text(&paths, &settings, &run).reopen(&checkpoint);
        let corpus = opened.map_err(|failure| Again::resume(out).explain(failure, &paths))?;
        check_memory(&settings, &corpus, &run)?;
        let stored = checkpoint.progress.clone();
        let corpus = self.check_text(corpus, &paths, &mut checkpoint, out)?;
        let recorded = super::config::record(&settings, &paths, &run)?;
        let training = match self.extend {
            true => Training::extend(corpus, checkpoint, settings, self.threads())?,
            false => Training::resume(corpus, checkpoint, settings, self.threads())?,
        };
        self.check_pause(&training)?;
        self.check_length(&training)?;
        folder.write_config(&recorded)?;
        folder.write_manifest(training.corpus())?;
        let mut keeper = Keeper::new(folder, run, recorded);
        keeper.resume(&training)?;
        if *training.progress() != stored {
            // What was changed must hold even if the process is killed before its next checkpoint.
            keeper.first(&training)?;
        }
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
        corpus: Corpus,
        paths: &[PathBuf],
        checkpoint: &mut Checkpoint,
        run: &Path,
    ) -> Result<Corpus, Failure> {
        let (found, expected) = (corpus.fingerprint(), checkpoint.progress.corpus_fingerprint);
        if found == expected {
            return Ok(corpus);
        }
        if !self.accept_changed_text {
            return Err(Failure::OtherText {
                text: corpus.name(),
                run: run.to_owned(),
                difference: RunFolder::at(run).difference(&corpus),
                found,
                expected,
                remedy: remedy(paths),
            });
        }
        let corpus = corpus.with_vocabulary(&checkpoint.vocabulary)?;
        note(&format!("{} is another text than before; the run goes on with it", corpus.name()));
        checkpoint.progress.corpus_fingerprint = found;
        Ok(corpus)
    }

    fn threads(&self) -> Option<usize> {
        self.threads.map(NonZeroUsize::get)
    }

    /// The stored settings, with what a resumed run may change.
    fn resumed_settings(&self, out: &Path, stored: &Settings) -> Result<Settings, Failure> {
        let flags = self.settings.table();
        let asked = overlay(stored, [&flags].into_iter())?;
        for SettingDifference { key, expected, .. } in asked.differences(stored) {
            let accepted = key != "unknown" || self.accept_changed_text;
            if !(accepted && Training::may_change(&key, stored, self.extend)) {
                return Err(refuse_change(&key, &expected, stored, out));
            }
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
            // Not damage: to go on from another would write over what somebody changed on purpose.
            Err(
                error
                @ Error::Checkpoint(CheckpointError::Version { .. } | CheckpointError::Rewritten { .. }),
            ) => {
                return Err(error.into());
            }
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

fn text<'a>(paths: &'a [PathBuf], settings: &'a Settings, run: &RunOptions) -> Text<'a> {
    Text { paths, settings, max_memory: run.max_memory.map(|most| most.0) }
}

/// Refuses what needs more memory than `--max-memory` grants.
fn check_memory(settings: &Settings, corpus: &Corpus, run: &RunOptions) -> Result<(), Failure> {
    let needed = memory_needed(settings, corpus.vocabulary().len()) + corpus.memory() as f64;
    let Some(most) = run.max_memory.map(|most| most.0 as f64).filter(|most| needed > *most) else {
        return Ok(());
    };
    let (most, needed) = memory_apart(most, needed);
    Err(Failure::Usage(format!(
        "--max-memory {most}: this run needs about {needed}; raise it, or lower hidden, layers, embedding, batch or steps"
    )))
}
