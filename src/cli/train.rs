//! `unrolled train`: trains a model on a corpus and writes a run folder.

use super::{
    config_file::ConfigFile,
    config_record::config_record,
    failure::Failure,
    given_settings::GivenSettings,
    job::Job,
    number_args::whole,
    number_format::memory_apart,
    run_folder::RunFolder,
    run_options::RunOptions,
    settings_flags::SettingsFlags,
    signals,
    starting_point::{InitialWeights, StartingPoint},
    text::{Text, check_streams, note_streams},
};
use clap::{Args, builder::PossibleValuesParser};
use std::{num::NonZeroUsize, path::PathBuf};
use unrolled::{Preset, Settings, corpus::Corpus, model::memory_needed, train::Training};

mod curve_log;
mod event_file;
mod follow;
mod resume;
mod resume_checks;
mod run_writer;
mod session;
use run_writer::RunWriter;
use session::Session;

/// Train a model on a corpus
#[derive(Args)]
pub struct TrainCommand {
    /// Files and folders of the corpus; `-` is standard input [default: the built-in corpus, the
    /// source code and documentation of this program]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Run folder to create [default: runs/1, runs/2, ...]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// TOML file with settings; flags override it
    #[arg(short, long, value_name = "FILE", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Published settings to start from; `unrolled presets` lists them
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Preset::NAMES), conflicts_with = "resume")]
    preset: Option<String>,
    /// Write a checkpoint and pause at step N; the length and the schedule of the run stay the same
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1))]
    stop_after: Option<u64>,
    /// Continue the run in --out exactly where it stopped
    #[arg(long, requires = "out")]
    resume: bool,
    /// With --resume: allow another learning rate, schedule, clip, weight decay, precision or length.
    /// Each later step is as in a run that had these settings from its start
    #[arg(long, requires = "resume")]
    extend: bool,
    /// With --resume: continue although the corpus has changed
    #[arg(long, requires = "resume")]
    accept_changed_text: bool,
    /// Number of threads [default: all cores]
    #[arg(short = 'j', long, value_name = "N", value_parser = whole::<NonZeroUsize>(1))]
    threads: Option<NonZeroUsize>,
    /// Print one JSON object per evaluation to standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    settings: SettingsFlags,
}

/// The part of this process in a run.
enum Part {
    /// All decisions, the files and the output.
    Lead(Box<Session>),
    /// Only the computation.
    Follow(Box<Training>),
}

/// A run that can begin.
struct Prepared {
    training: Training,
    paths: Vec<PathBuf>,
    run: RunOptions,
    /// The text of `config.toml`.
    recorded: String,
}

impl TrainCommand {
    /// Returns whether this resumes a run, for messages.
    pub fn form(&self) -> &'static str {
        if self.resume { "`train --resume`" } else { "`train`" }
    }

    /// Starts or resumes a run, and trains until it is done, paused or interrupted.
    pub fn run(&self, job: &Job) -> Result<(), Failure> {
        signals::keep_writing();
        let part = match (&self.out, self.resume) {
            (Some(out), true) => self.resume(job, out)?,
            _ => self.start(job)?,
        };
        // Before this point there is nothing to save, and a signal ends the process at once.
        let signals = session::listen()?;
        match part {
            Part::Lead(session) => session.drive(&signals),
            Part::Follow(training) => follow::follow(*training, &signals),
        }
    }

    fn start(&self, job: &Job) -> Result<Part, Failure> {
        let config = job.agree(self.read_config())?;
        let run = self.run.clone().or(config.run.clone());
        let given = GivenSettings {
            config: &config,
            file: self.config.as_deref(),
            preset: self.preset.as_deref(),
            flags: &self.settings,
        };
        let weights = InitialWeights::load(job, &run)?;
        let prepared = job.agree(self.prepare(job, &given, run, weights))?;
        let Prepared { training, paths, run, recorded } = prepared;
        let training = job.divide(training)?;
        if !job.leads() {
            return Ok(Part::Follow(Box::new(training)));
        }
        let folder = RunFolder::create(self.out.as_deref(), &recorded)?;
        self.begin(job, training, RunWriter::new(folder, run, recorded), &paths)
    }

    fn read_config(&self) -> Result<ConfigFile, Failure> {
        self.check_resumes()?;
        Ok(self.config.as_deref().map(ConfigFile::read).transpose()?.unwrap_or_default())
    }

    /// Prepares a new run, without its folder.
    fn prepare(
        &self,
        job: &Job,
        given: &GivenSettings,
        run: RunOptions,
        weights: Option<InitialWeights>,
    ) -> Result<Prepared, Failure> {
        let start = StartingPoint::load(&run, given, weights)?;
        let settings = start.settings(given)?;
        settings.validate()?;
        if let Some(out) = self.out.as_ref().filter(|_| job.leads()) {
            RunFolder::at(out).check_free()?;
        }
        let paths = match self.paths.is_empty() {
            true => given.config.paths().unwrap_or_default(),
            false => &self.paths,
        };
        check_streams(job, paths)?;
        note_streams(paths);
        let recorded = config_record(&settings, paths, &run)?;
        let training = self.new_training(paths, settings, &run, &start)?;
        Ok(Prepared { training, paths: paths.to_vec(), run, recorded })
    }

    /// Returns an error for flags that only a resumed run can have. The parser does not report them
    /// beside a flag that excludes `--resume`.
    fn check_resumes(&self) -> Result<(), Failure> {
        let flags = [("extend", self.extend), ("accept-changed-text", self.accept_changed_text)];
        match flags.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Failure::Usage(format!(
                "--{flag} needs --resume --out DIR, and this command starts a new run; leave --{flag} out"
            ))),
            None => Ok(()),
        }
    }

    /// Creates a run at step 0, with initial weights or those of another run.
    fn new_training(
        &self,
        paths: &[PathBuf],
        settings: Settings,
        run: &RunOptions,
        start: &StartingPoint,
    ) -> Result<Training, Failure> {
        let corpus = start.open(&text(paths, &settings, run))?;
        check_memory(&settings, &corpus, run)?;
        Ok(match start.checkpoint() {
            Some(from) => Training::fine_tune(corpus, from, settings, self.threads())?,
            None => Training::new(corpus, settings, self.threads())?,
        })
    }

    /// Writes the first files of a run. The first checkpoint detects a full disk early, and makes
    /// it possible to resume the run.
    fn begin(
        &self,
        job: &Job,
        training: Training,
        mut writer: RunWriter,
        paths: &[PathBuf],
    ) -> Result<Part, Failure> {
        writer.folder().write_manifest(training.corpus())?;
        writer.checkpoint(&training)?;
        Ok(self.session(job, training, writer, paths))
    }

    fn session(&self, job: &Job, training: Training, writer: RunWriter, paths: &[PathBuf]) -> Part {
        Part::Lead(Box::new(Session {
            training,
            writer,
            job: job.clone(),
            resumed: self.resume,
            is_built_in: paths.is_empty(),
            json: self.json,
            stop_after: self.stop_after,
            threads: self.threads(),
        }))
    }

    fn threads(&self) -> Option<usize> {
        self.threads.map(NonZeroUsize::get)
    }
}

fn text<'a>(paths: &'a [PathBuf], settings: &'a Settings, run: &RunOptions) -> Text<'a> {
    Text { paths, settings, max_memory: run.max_memory.map(|most| most.0) }
}

/// Returns an error for a run that needs more memory than `--max-memory` allows.
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
