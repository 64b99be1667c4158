//! `unrolled eval`: the loss of a trained model on a text.

use super::{
    config::Config,
    failure::Failure,
    figures::grouped,
    numbers::whole,
    options::{encoding, unknown},
    output,
    run_folder::{Trained, Which},
    text::{Again, Text, without_unit},
};
use clap::{Args, ValueEnum, builder::PossibleValuesParser};
use std::{num::NonZeroUsize, ops::Range, path::PathBuf};
use unrolled::{
    DataSettings, Encoding, Invalid, Settings, Unknown,
    checkpoint::Checkpoint,
    corpus::Corpus,
    model::check_evaluation_memory,
    train::{Evaluation, EvaluationOptions, evaluate_with},
};

/// Measure the loss of a trained model on a text
#[derive(Args)]
pub struct Eval {
    /// A run folder or a checkpoint file [default: the newest under runs/]
    run: Option<PathBuf>,
    /// Files and folders of the text, and - for standard input [default: the run's own]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Encoding of the files named, by its WHATWG label [default: the run's]
    #[arg(long, value_name = "NAME", value_parser = encoding, requires = "paths")]
    encoding: Option<String>,
    /// How to treat bytes that are invalid in that encoding [default: as in the run]
    #[arg(long, value_parser = PossibleValuesParser::new(Invalid::NAMES), requires = "paths")]
    invalid: Option<String>,
    /// Part of the text [default: val for the run's own text, all for another]
    #[arg(long, value_enum)]
    split: Option<Part>,
    /// Checkpoint of a run folder [default: best, or last in a run without validation]
    #[arg(long, value_enum)]
    checkpoint: Option<Which>,
    /// Contiguous streams that the part is read as
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>(1), default_value = "16")]
    eval_streams: NonZeroUsize,
    /// What to do with symbols of another text that the model does not know: refuse the text, leave them out, or read U+FFFD in
    /// their place (a space where the vocabulary has no U+FFFD) [default: error]
    #[arg(long, value_parser = PossibleValuesParser::new(Unknown::NAMES))]
    unknown: Option<String>,
    /// Also tell how many symbols are among the N likeliest
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>(1))]
    top_k: Option<NonZeroUsize>,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = whole::<NonZeroUsize>(1))]
    threads: Option<NonZeroUsize>,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What the model was trained on.
    Train,
    /// The validation part.
    Val,
    /// The test part.
    Test,
    /// The whole text.
    All,
}

impl Eval {
    /// Loads the model and the text, and prints the loss.
    pub fn run(&self) -> Result<(), Failure> {
        let trained = Trained::find(self.run.as_deref(), self.checkpoint)?;
        let checkpoint = trained.load()?;
        let corpus = self.corpus(&trained, &checkpoint)?;
        let part = self.part(&corpus, &checkpoint)?;
        let model = checkpoint.model()?;
        let threads = self.threads.map(NonZeroUsize::get);
        self.check_memory(part.len(), &checkpoint)?;
        let reading = EvaluationOptions { range: part, streams: self.eval_streams.get(), top_k: self.top_k };
        let evaluation = evaluate_with(model, &corpus, reading, threads)?;
        match self.json {
            true => output::json(&evaluation),
            false => output::write(&self.table(&trained, &corpus, &checkpoint, &evaluation)),
        }
    }

    fn corpus(&self, trained: &Trained, checkpoint: &Checkpoint) -> Result<Corpus, Failure> {
        if !self.paths.is_empty() {
            return self.other_text(checkpoint);
        }
        if self.unknown.is_some() {
            return Err(Failure::Usage(
                "--unknown is for another text: the run's own text is read as the run reads it; leave it out, or name a text \
                 after the run"
                    .to_owned(),
            ));
        }
        let expected = checkpoint.progress.corpus_fingerprint;
        let paths = own_paths(trained)?;
        let again = Again::eval(trained.folder.path());
        again.check(&paths)?;
        let text = Text { paths: &paths, settings: &checkpoint.settings, max_memory: None };
        let corpus = text.reopen(checkpoint).map_err(|failure| again.explain(failure, &paths))?;
        match corpus.fingerprint() {
            found if found == expected => Ok(corpus),
            found => Err(Failure::OtherText {
                text: corpus.name(),
                run: trained.folder.path().to_owned(),
                difference: trained.folder.difference(&corpus),
                found,
                expected,
                remedy: "bring it back, or name a text after the run",
            }),
        }
    }

    /// Another text has an order and filters of its own; what its bytes mean, and what stands between files, is what the
    /// model knows.
    fn other_text(&self, checkpoint: &Checkpoint) -> Result<Corpus, Failure> {
        let DataSettings { encoding, separator, document_marker, invalid, unit, .. } =
            checkpoint.settings.data.clone();
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
                unknown,
                ..DataSettings::default()
            },
            ..Settings::default()
        };
        let text = Text { paths: &self.paths, settings: &settings, max_memory: None };
        text.open(Some(&checkpoint.vocabulary)).map_err(|failure| match failure {
            Failure::Library(error) => {
                without_unit(error, ", or --invalid replace or --invalid skip to read around them")
            }
            other => other,
        })
    }

    /// Every stream is a row of the batch: so many that they exceed the memory are refused before anything is allocated.
    fn check_memory(&self, symbols: usize, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let rows = self.eval_streams.get().min(symbols).max(1);
        let steps = (symbols / rows).clamp(1, 64);
        let (settings, symbols) = (&checkpoint.settings, checkpoint.vocabulary.len());
        check_evaluation_memory(settings, symbols, steps, rows).map_err(|error| {
            Failure::Usage(format!("--eval-streams {}: {error}; or lower --eval-streams", self.eval_streams))
        })
    }

    fn choice(&self) -> Part {
        self.split.unwrap_or(if self.paths.is_empty() { Part::Val } else { Part::All })
    }

    fn part(&self, corpus: &Corpus, checkpoint: &Checkpoint) -> Result<Range<usize>, Failure> {
        let settings = &checkpoint.settings;
        let split =
            || corpus.split(settings.data.split_by, settings.data.val_fraction, settings.data.test_fraction);
        let part = match self.choice() {
            Part::Train => split()?.train,
            Part::Val => split()?.validation,
            Part::Test => split()?.test,
            Part::All => 0..corpus.len(),
        };
        match part.is_empty() {
            true => Err(Failure::Usage(format!(
                "the {} part is empty (val-fraction {}, test-fraction {}): use another --split",
                self.choice().name(),
                settings.data.val_fraction,
                settings.data.test_fraction
            ))),
            false => Ok(part),
        }
    }

    fn table(&self, trained: &Trained, corpus: &Corpus, checkpoint: &Checkpoint, e: &Evaluation) -> String {
        format!(
            "text         {}, {}\ncheckpoint   {}, step {}\nsymbols      {}\n\
             loss         {:.4} nats per symbol\n             {:.4} bits per symbol\n\
             perplexity   {:.3}\naccuracy     {:.2}%\n{}",
            corpus.name(),
            self.choice().name(),
            trained.file.display(),
            grouped(checkpoint.progress.step),
            grouped(e.symbols),
            e.loss,
            e.bits_per_symbol,
            e.perplexity,
            100.0 * e.accuracy,
            self.top_k_line(e)
        )
    }

    fn top_k_line(&self, evaluation: &Evaluation) -> String {
        match (self.top_k, evaluation.top_k_accuracy) {
            (Some(k), Some(share)) => format!("{:<13}{:.2}%\n", format!("top-{k}"), 100.0 * share),
            _ => String::new(),
        }
    }
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Val => "validation",
            Self::Test => "test",
            Self::All => "all of it",
        }
    }
}

/// The text that the run's `config.toml` records.
fn own_paths(trained: &Trained) -> Result<Vec<PathBuf>, Failure> {
    let file = trained.folder.config();
    let unknown = || Failure::NoRun {
        path: file.clone(),
        problem: "nothing here tells the run's own text: name a text after the run".to_owned(),
    };
    if !file.exists() {
        return Err(unknown());
    }
    Config::read(&file)?.paths().map(<[PathBuf]>::to_vec).ok_or_else(unknown)
}
