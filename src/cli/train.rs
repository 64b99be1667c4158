//! `unrolled train`: from a text to a run folder.

use super::{
    config::{Config, overlay, table_of},
    failure::Failure,
    options::SettingsFlags,
    output::note,
    run_folder::RunFolder,
    signals::Signals,
};
use clap::{Args, builder::PossibleValuesParser, value_parser};
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};
use unrolled::{
    Error, Preset, Schedule, Settings,
    checkpoint::Checkpoint,
    corpus::{Corpus, Options},
    train::Training,
};

mod session;
use session::Session;

/// Train a model on a text
#[derive(Args)]
pub struct Train {
    /// Files and folders of the text [default: the text inside this program]
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
    /// Threads [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// One JSON object per evaluation on standard output
    #[arg(long)]
    json: bool,
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
        let corpus = open(paths, &settings)?;
        let recorded = super::config::record(&settings, paths)?;
        let training = Training::new(corpus, settings, self.threads())?;
        let folder = RunFolder::create(self.out.as_deref(), &recorded)?;
        // A first checkpoint finds a full disk early, and makes the run one that can be resumed.
        folder.write_checkpoint(&training.checkpoint(), false)?;
        self.session(training, folder)
    }

    fn resume(&self, out: &Path) -> Result<Session, Failure> {
        let folder = RunFolder::at(out);
        let checkpoint = load(&folder)?;
        let settings = self.resumed_settings(out, &checkpoint.settings)?;
        settings.validate()?;
        let paths = match self.paths.is_empty() {
            true => Config::read(&folder.config())?.paths().unwrap_or_default().to_vec(),
            false => self.paths.clone(),
        };
        let corpus = open(&paths, &settings)?;
        check_text(&corpus, &checkpoint, out)?;
        let history = checkpoint.progress.history.clone();
        let changed = settings != checkpoint.settings;
        let training = Training::resume(corpus, checkpoint, settings, self.threads())?;
        self.check_pause(&training)?;
        folder.write_metrics(&history)?;
        if changed {
            folder.write_config(training.settings(), &paths)?;
        }
        self.session(training, folder)
    }

    fn session(&self, training: Training, folder: RunFolder) -> Result<Session, Failure> {
        let resumed = self.resume;
        Ok(Session {
            training,
            folder,
            resumed,
            json: self.json,
            stop_after: self.stop_after,
            threads: self.threads(),
        })
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

fn load(folder: &RunFolder) -> Result<Checkpoint, Failure> {
    match folder.last().exists() {
        true => Ok(Checkpoint::load(&folder.last())?),
        false => Err(Failure::NoRun {
            path: folder.last(),
            problem: "no such checkpoint, so there is nothing to resume: leave --resume out to start a run"
                .to_owned(),
        }),
    }
}

fn open(paths: &[PathBuf], settings: &Settings) -> Result<Corpus, Failure> {
    match paths.is_empty() {
        true => Ok(Corpus::embedded(settings.unit)?),
        false => Ok(Options::of(settings).open(paths)?),
    }
}

fn check_text(corpus: &Corpus, checkpoint: &Checkpoint, out: &Path) -> Result<(), Failure> {
    let (found, expected) = (corpus.fingerprint(), checkpoint.progress.corpus_fingerprint);
    match found == expected {
        true => Ok(()),
        false => Err(Failure::OtherText { text: corpus.name(), run: out.to_owned(), found, expected }),
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
