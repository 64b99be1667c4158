//! `unrolled train --resume`: continues a run.

use super::{RunWriter, Session, TrainCommand, check_memory, resume_checks::refuse_change, text};
use crate::cli::{
    config_file::ConfigFile,
    config_record::config_record,
    failure::Failure,
    given_settings::GivenSettings,
    output::{note, warn},
    run_folder::RunFolder,
    settings_flags::SettingsFlags,
    settings_table::overlay,
    starting_point::StartingPoint,
    text::{ReopenHint, remedy},
};
use std::path::{Path, PathBuf};
use unrolled::{
    CheckpointError, Error, SettingDifference, Settings, checkpoint::Checkpoint, corpus::Corpus,
    train::Training,
};

impl TrainCommand {
    /// Continues the run in `out` from its newest intact checkpoint.
    pub(super) fn resume(&self, out: &Path) -> Result<Session, Failure> {
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
        let config = ConfigFile::read(&folder.config())?;
        let (paths, run) = (self.resumed_paths(&config, out)?, self.run.clone().or(config.run.clone()));
        let opened = text(&paths, &settings, &run).reopen(&checkpoint);
        let corpus = opened.map_err(|failure| ReopenHint::resume(out).explain(failure, &paths))?;
        check_memory(&settings, &corpus, &run)?;
        let stored = checkpoint.progress.clone();
        let corpus = self.check_text(corpus, &paths, &mut checkpoint, out)?;
        let recorded = config_record(&settings, &paths, &run)?;
        let training = match self.extend {
            true => Training::extend(corpus, checkpoint, settings, self.threads())?,
            false => Training::resume(corpus, checkpoint, settings, self.threads())?,
        };
        self.check_pause(&training)?;
        self.check_length(&training)?;
        folder.write_config(&recorded)?;
        folder.write_manifest(training.corpus())?;
        let mut writer = RunWriter::new(folder, run, recorded);
        writer.resume(&training)?;
        if *training.progress() != stored {
            // The changes must survive if the process is killed before the next checkpoint.
            writer.checkpoint(&training)?;
        }
        Ok(self.session(training, writer, &paths))
    }

    fn resumed_paths(&self, config: &ConfigFile, out: &Path) -> Result<Vec<PathBuf>, Failure> {
        if !self.paths.is_empty() {
            return Ok(self.paths.clone());
        }
        let paths = config.paths().unwrap_or_default().to_vec();
        ReopenHint::resume(out).check(&paths)?;
        Ok(paths)
    }

    /// Starts a run again in its folder: its process was killed before the first checkpoint.
    fn start_again(&self, folder: RunFolder) -> Result<Session, Failure> {
        let config = ConfigFile::read(&folder.config())?;
        let stored = config.settings(None, &SettingsFlags::default())?;
        let settings = self.resumed_settings(folder.path(), &stored)?;
        settings.validate()?;
        let paths = self.resumed_paths(&config, folder.path())?;
        let run = self.run.clone().or(config.run.clone());
        let (file, flags) = (folder.config(), SettingsFlags::default());
        let given = GivenSettings { config: &config, file: Some(&file), preset: None, flags: &flags };
        let start = StartingPoint::load(&run, &given)?;
        start.settings(&given)?;
        let recorded = config_record(&settings, &paths, &run)?;
        let training = self.new_training(&paths, settings, &run, &start)?;
        folder.write_config(&recorded)?;
        note(&format!(
            "{}: the run stopped before its first checkpoint, so it starts again",
            folder.path().display()
        ));
        self.begin(training, RunWriter::new(folder, run, recorded), &paths)
    }

    /// Returns an error for another corpus than the run's, unless `--accept-changed-text` is given:
    /// then the run continues with the new corpus.
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
        note(&format!("{} has changed; the run continues with it", corpus.name()));
        checkpoint.progress.corpus_fingerprint = found;
        Ok(corpus)
    }

    /// Returns the stored settings with the changes that a resumed run may make.
    fn resumed_settings(&self, out: &Path, stored: &Settings) -> Result<Settings, Failure> {
        let flags = self.settings.table();
        let settings = overlay(stored, [&flags].into_iter())?;
        for SettingDifference { key, expected, .. } in settings.differences(stored) {
            let accepted = key != "unknown" || self.accept_changed_text;
            if !(accepted && Training::may_change(&key, stored, self.extend)) {
                return Err(refuse_change(&key, &expected, stored, out));
            }
        }
        Ok(settings)
    }

    fn check_pause(&self, training: &Training) -> Result<(), Failure> {
        let step = training.progress().step;
        match self.stop_after {
            Some(stop) if stop <= step && !training.is_done() => Err(Failure::Usage(format!(
                "--stop-after {stop}: the run is already at step {step}; give a later step"
            ))),
            _ => Ok(()),
        }
    }
}

/// Loads the newest intact checkpoint; `None` if there is no checkpoint. Tries the best one last,
/// because it is rarely the newest.
fn load(folder: &RunFolder) -> Result<Option<Checkpoint>, Failure> {
    let mut first_error = None;
    let mut files = vec![folder.last()];
    files.extend(folder.earlier().into_iter().map(|(_, path)| path));
    files.push(folder.best());
    for file in files.into_iter().filter(|file| file.exists()) {
        match Checkpoint::load(&file) {
            Ok(checkpoint) => {
                let missing = || format!("{} is missing", folder.last().display());
                if file != folder.last() {
                    let (from, step) = (file.display(), checkpoint.progress.step);
                    let why = first_error.map_or_else(missing, |error: Error| error.to_string());
                    warn(&format!("{why}; continuing from {from}, which is intact, at step {step}"));
                }
                return Ok(Some(checkpoint));
            }
            // Not damage: continuing from another checkpoint would overwrite a deliberate change.
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
        problem: "found no such checkpoint, so there is nothing to resume; leave --resume out to start a run"
            .to_owned(),
    }
}
