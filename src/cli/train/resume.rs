//! `unrolled train --resume`: continues a run.

use super::{Part, Prepared, RunWriter, TrainCommand, check_memory, resume_checks::refuse_change, text};
use crate::cli::{
    config_file::ConfigFile,
    config_record::config_record,
    failure::Failure,
    given_settings::GivenSettings,
    job::Job,
    output::{note, warn},
    run_folder::RunFolder,
    run_options::RunOptions,
    settings_flags::SettingsFlags,
    settings_table::overlay,
    starting_point::{InitialWeights, StartingPoint},
    text::{ReopenHint, check_streams, remedy},
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use unrolled::{
    CheckpointError, Error, SettingDifference, Settings, checkpoint::Checkpoint, corpus::Corpus,
    train::Training,
};

/// The content of a run's folder. Rank 0 reads it and sends it to all ranks.
struct Stored {
    /// The locked folder, on rank 0.
    folder: Option<RunFolder>,
    /// The newest intact checkpoint; `None` if the run has stopped before its first.
    checkpoint: Option<Checkpoint>,
    config: ConfigFile,
}

impl Stored {
    fn load(job: &Job, out: &Path) -> Result<Self, Failure> {
        let hold = || if out.is_dir() { RunFolder::hold(out) } else { Err(nothing_to_resume(out)) };
        let (named, folder) = (RunFolder::at(out), job.lead(hold)?);
        let checkpoint = job.share_checkpoint(&named.last(), || match load(&named)? {
            None if !named.config().exists() => Err(nothing_to_resume(out)),
            found => Ok(found),
        })?;
        let file = named.config();
        let unread = |source| Error::Io { action: "read", path: named.config(), source };
        let text = job.share(|| Ok(fs::read(&file).map_err(unread)?))?;
        let config = job.agree(ConfigFile::of_bytes(&text, &file))?;
        Ok(Self { folder, checkpoint, config })
    }
}

impl TrainCommand {
    /// Continues the run in `out` from its newest intact checkpoint.
    pub(super) fn resume(&self, job: &Job, out: &Path) -> Result<Part, Failure> {
        let Stored { folder, checkpoint, config } = Stored::load(job, out)?;
        let Some(checkpoint) = checkpoint else {
            return self.start_again(job, out, folder, &config);
        };
        let stored = checkpoint.progress.clone();
        let Prepared { training, paths, run, recorded } =
            job.agree(self.prepare_to_resume(job, out, &config, checkpoint))?;
        let training = job.divide(training)?;
        let Some(folder) = folder else { return Ok(Part::Follow(Box::new(training))) };
        folder.write_config(&recorded)?;
        folder.write_manifest(training.corpus())?;
        let mut writer = RunWriter::new(folder, run, recorded);
        writer.resume(&training)?;
        if *training.progress() != stored {
            // The changes must survive if the process is killed before the next checkpoint.
            writer.checkpoint(&training)?;
        }
        Ok(self.session(job, training, writer, &paths))
    }

    fn prepare_to_resume(
        &self,
        job: &Job,
        out: &Path,
        config: &ConfigFile,
        mut checkpoint: Checkpoint,
    ) -> Result<Prepared, Failure> {
        let settings = self.resumed_settings(out, &checkpoint.settings)?;
        settings.validate()?;
        let (paths, run) = (self.resumed_paths(job, config, out)?, self.run.clone().or(config.run.clone()));
        let opened = text(&paths, &settings, &run).reopen(&checkpoint);
        let corpus = opened.map_err(|failure| ReopenHint::resume(out).explain(failure, &paths))?;
        check_memory(&settings, &corpus, &run)?;
        let corpus = self.check_text(corpus, &paths, &mut checkpoint, out)?;
        let recorded = config_record(&settings, &paths, &run)?;
        let training = match self.extend {
            true => Training::extend(corpus, checkpoint, settings, self.threads())?,
            false => Training::resume(corpus, checkpoint, settings, self.threads())?,
        };
        self.check_pause(&training)?;
        self.check_length(&training)?;
        Ok(Prepared { training, paths, run, recorded })
    }

    fn resumed_paths(&self, job: &Job, config: &ConfigFile, out: &Path) -> Result<Vec<PathBuf>, Failure> {
        if !self.paths.is_empty() {
            check_streams(job, &self.paths)?;
            return Ok(self.paths.clone());
        }
        let paths = config.paths().unwrap_or_default().to_vec();
        check_streams(job, &paths)?;
        ReopenHint::resume(out).check(&paths)?;
        Ok(paths)
    }

    /// Starts a run again in its folder: its process was killed before the first checkpoint.
    fn start_again(
        &self,
        job: &Job,
        out: &Path,
        folder: Option<RunFolder>,
        config: &ConfigFile,
    ) -> Result<Part, Failure> {
        let run = self.run.clone().or(config.run.clone());
        let weights = InitialWeights::load(job, &run)?;
        let Prepared { training, paths, run, recorded } =
            job.agree(self.prepare_again(job, out, config, run, weights))?;
        let training = job.divide(training)?;
        let Some(folder) = folder else { return Ok(Part::Follow(Box::new(training))) };
        folder.write_config(&recorded)?;
        note(&format!(
            "{}: the run stopped before its first checkpoint, so it starts again",
            folder.path().display()
        ));
        self.begin(job, training, RunWriter::new(folder, run, recorded), &paths)
    }

    fn prepare_again(
        &self,
        job: &Job,
        out: &Path,
        config: &ConfigFile,
        run: RunOptions,
        weights: Option<InitialWeights>,
    ) -> Result<Prepared, Failure> {
        let stored = config.settings(None, &SettingsFlags::default())?;
        let settings = self.resumed_settings(out, &stored)?;
        settings.validate()?;
        let paths = self.resumed_paths(job, config, out)?;
        let (file, flags) = (RunFolder::at(out).config(), SettingsFlags::default());
        let given = GivenSettings { config, file: Some(&file), preset: None, flags: &flags };
        let start = StartingPoint::load(&run, &given, weights)?;
        start.settings(&given)?;
        let recorded = config_record(&settings, &paths, &run)?;
        let training = self.new_training(&paths, settings, &run, &start)?;
        Ok(Prepared { training, paths, run, recorded })
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
