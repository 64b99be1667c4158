//! The text that a command measures the loss on, and how it is read.

use super::{
    config_file::ConfigFile,
    failure::Failure,
    number_args::whole,
    run_folder::{RunCheckpoint, RunFolder},
    text::{ReopenHint, Text, without_unit},
    value_args::{encoding, id_width, unknown},
};
use clap::{Args, ValueEnum, builder::PossibleValuesParser};
use std::{num::NonZeroUsize, ops::Range, path::PathBuf};
use unrolled::{
    DataSettings, Encoding, IdWidth, Invalid, Settings, Unknown, checkpoint::Checkpoint, corpus::Corpus,
    model::check_evaluation_memory, train::EvaluationOptions,
};

/// The flags of a text to evaluate on.
#[derive(Args)]
pub struct EvaluationText {
    /// Files and folders of another corpus; `-` is standard input [default: the corpus of the run]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Encoding of these files, by its WHATWG label [default: as in the run]
    #[arg(long, value_name = "NAME", value_parser = encoding, requires = "paths")]
    encoding: Option<String>,
    /// Number of bits of an id in the files named, for a model of ids [default: as in the run]
    #[arg(long, value_name = "BITS", value_parser = id_width(), requires = "paths")]
    id_width: Option<u32>,
    /// Treatment of bytes that are invalid in that encoding [default: as in the run]
    #[arg(long, value_parser = PossibleValuesParser::new(Invalid::NAMES), requires = "paths")]
    invalid: Option<String>,
    /// Split to read [default: val for the corpus of the run, all for another corpus]
    #[arg(long, value_enum)]
    split: Option<SplitChoice>,
    /// Number of contiguous streams that the split is read as
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>(1), default_value = "16")]
    eval_streams: NonZeroUsize,
    /// Treatment of symbols of another corpus that the vocabulary lacks: error, skip them, or
    /// replace them by U+FFFD (by a space if the vocabulary has no U+FFFD) [default: error]
    #[arg(long, value_parser = PossibleValuesParser::new(Unknown::NAMES))]
    unknown: Option<String>,
    /// Number of threads [default: all cores]
    #[arg(short = 'j', long, value_name = "N", value_parser = whole::<NonZeroUsize>(1))]
    threads: Option<NonZeroUsize>,
}

/// A split of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SplitChoice {
    /// The training split.
    Train,
    /// The validation split.
    Val,
    /// The test split.
    Test,
    /// The whole corpus.
    All,
}

impl EvaluationText {
    /// Opens the text and finds the part of it to read.
    pub fn open(
        &self,
        trained: &RunCheckpoint,
        checkpoint: &Checkpoint,
    ) -> Result<(Corpus, EvaluationOptions), Failure> {
        let corpus = self.corpus(trained, checkpoint)?;
        let range = self.split(&corpus, checkpoint)?;
        self.check_memory(range.len(), checkpoint)?;
        Ok((corpus, EvaluationOptions { range, streams: self.eval_streams.get(), top_k: None }))
    }

    /// The number of threads; `None` for all cores.
    pub fn threads(&self) -> Option<usize> {
        self.threads.map(NonZeroUsize::get)
    }

    /// Describes the part of a corpus that is read: "text.txt, validation split".
    pub fn describe(&self, corpus: &Corpus) -> String {
        format!("{}, {}", corpus.name(), self.choice().name())
    }

    /// Opens the corpus: the one that the paths name, or that of the run.
    fn corpus(&self, trained: &RunCheckpoint, checkpoint: &Checkpoint) -> Result<Corpus, Failure> {
        if !self.paths.is_empty() {
            return self.other_corpus(checkpoint);
        }
        if self.unknown.is_some() {
            return Err(Failure::Usage(
                "--unknown needs another corpus: the corpus of the run is read as in the run; leave --unknown out, or name files \
                 after RUN"
                    .to_owned(),
            ));
        }
        let expected = checkpoint.progress.corpus_fingerprint;
        let folder = trained.run_folder().filter(|folder| folder.config().exists());
        let folder = folder.ok_or_else(|| no_corpus(trained))?;
        let paths = own_paths(folder)?;
        let again = ReopenHint::eval(folder.path());
        again.check(&paths)?;
        let text = Text { paths: &paths, settings: &checkpoint.settings, max_memory: None };
        let corpus = text.reopen(checkpoint).map_err(|failure| again.explain(failure, &paths))?;
        match corpus.fingerprint() {
            found if found == expected => Ok(corpus),
            found => Err(Failure::OtherText {
                text: corpus.name(),
                run: folder.path().to_owned(),
                difference: folder.difference(&corpus),
                found,
                expected,
                remedy: "restore it, or name another corpus after RUN",
            }),
        }
    }

    /// Opens another corpus. The encoding, the separator and the marker are those of the model;
    /// order and filters are the defaults.
    fn other_corpus(&self, checkpoint: &Checkpoint) -> Result<Corpus, Failure> {
        let DataSettings { encoding, separator, document_marker, invalid, unit, id_width, .. } =
            checkpoint.settings.data.clone();
        let id_width = self.id_width.map_or(Ok(id_width), |bits| IdWidth::try_from(u64::from(bits)));
        let id_width = id_width.map_err(Failure::Usage)?;
        let encoding = self.encoding.as_deref().map(Encoding::new).transpose()?.or(encoding);
        let choices = [Invalid::Error, Invalid::Replace, Invalid::Skip];
        let chosen = choices.into_iter().find(|choice| self.invalid.as_deref() == Some(choice.name()));
        let invalid = chosen.unwrap_or(invalid);
        let unknown = self.unknown.as_deref().map(unknown);
        let settings = Settings {
            data: DataSettings {
                encoding,
                separator,
                document_marker,
                invalid,
                unit,
                id_width,
                unknown,
                ..DataSettings::default()
            },
            ..Settings::default()
        };
        settings.validate()?;
        let text = Text { paths: &self.paths, settings: &settings, max_memory: None };
        text.open(Some(&checkpoint.vocabulary)).map_err(|failure| match failure {
            Failure::Library(error) => {
                without_unit(error, ", or --invalid replace or --invalid skip to read around them")
            }
            other => other,
        })
    }

    /// Returns an error if the streams, which are batch rows, need more memory than there is.
    fn check_memory(&self, symbols: usize, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let rows = self.eval_streams.get().min(symbols).max(1);
        let steps = (symbols / rows).clamp(1, 64);
        let (settings, symbols) = (&checkpoint.settings, checkpoint.vocabulary.len());
        check_evaluation_memory(settings, symbols, steps, rows).map_err(|error| {
            Failure::Usage(format!("--eval-streams {}: {error}; or lower --eval-streams", self.eval_streams))
        })
    }

    /// The split that is read.
    fn choice(&self) -> SplitChoice {
        self.split.unwrap_or(if self.paths.is_empty() { SplitChoice::Val } else { SplitChoice::All })
    }

    fn split(&self, corpus: &Corpus, checkpoint: &Checkpoint) -> Result<Range<usize>, Failure> {
        let settings = &checkpoint.settings;
        let split =
            || corpus.split(settings.data.split_by, settings.data.val_fraction, settings.data.test_fraction);
        let part = match self.choice() {
            SplitChoice::Train => split()?.train,
            SplitChoice::Val => split()?.validation,
            SplitChoice::Test => split()?.test,
            SplitChoice::All => 0..corpus.len(),
        };
        match part.is_empty() {
            true => Err(Failure::Usage(format!(
                "the {} is empty (val-fraction {}, test-fraction {}); use another --split",
                self.choice().name(),
                settings.data.val_fraction,
                settings.data.test_fraction
            ))),
            false => Ok(part),
        }
    }
}

impl SplitChoice {
    fn name(self) -> &'static str {
        match self {
            Self::Train => "training split",
            Self::Val => "validation split",
            Self::Test => "test split",
            Self::All => "whole corpus",
        }
    }
}

/// Returns the paths of the corpus that `config.toml` records.
fn own_paths(folder: &RunFolder) -> Result<Vec<PathBuf>, Failure> {
    let file = folder.config();
    ConfigFile::read(&file)?.paths().map(<[PathBuf]>::to_vec).ok_or_else(|| Failure::NoRun {
        path: file,
        problem: "the corpus of this run is unknown; name a corpus after RUN".to_owned(),
    })
}

/// Returns the failure for a checkpoint without the `config.toml` of its run.
fn no_corpus(trained: &RunCheckpoint) -> Failure {
    let (path, found) = match trained.run_folder() {
        Some(folder) => (folder.config(), "there is no such file, which names the corpus of the run"),
        None => (trained.file.clone(), "an exported or copied checkpoint carries no corpus"),
    };
    Failure::NoRun { path, problem: format!("{found}; name a corpus after RUN") }
}
