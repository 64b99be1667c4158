//! `unrolled sample`: writes text with a trained model.

use super::{
    failure::Failure,
    number_args::{float, whole},
    output,
    run_folder::RunCheckpoint,
    text::{note_unknown, without_unit},
    text_writer::{TextWriter, opening},
    value_args::{encoding, precision, unknown},
};
use clap::{Args, builder::PossibleValuesParser};
use std::{io::IsTerminal, num::NonZeroUsize, path::PathBuf};
use unrolled::{
    Encoding, Error, Precision, Unit, Unknown,
    checkpoint::Checkpoint,
    corpus::{CorpusOptions, Vocabulary, is_standard_input},
    exec::Engine,
    sample::Sampling,
};

/// Write text with a trained model
#[derive(Args)]
pub struct SampleCommand {
    /// Run folder or checkpoint file [default: the newest run under runs/]
    run: Option<PathBuf>,
    /// Number of symbols to draw
    #[arg(short = 'n', long, value_name = "N", value_parser = whole::<u64>(0), default_value_t = 500)]
    length: u64,
    /// Text to continue; it is printed first. For a model of ids, decimal numbers: --prompt '12 7 9'
    #[arg(short, long, value_name = "TEXT", conflicts_with = "prompt_file")]
    prompt: Option<String>,
    /// File with the text to continue; `-` is standard input
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// Encoding of that file, by its WHATWG label [default: utf-8, or that of a byte-order mark]
    #[arg(long, value_name = "NAME", value_parser = encoding, requires = "prompt_file", conflicts_with = "prompt")]
    encoding: Option<String>,
    /// Treatment of symbols of the prompt that the vocabulary lacks: error, skip them, or replace
    /// them by U+FFFD (by a space if the vocabulary has no U+FFFD)
    #[arg(long, value_parser = PossibleValuesParser::new(Unknown::NAMES), default_value = "error")]
    unknown: String,
    /// Divisor of the logits: lower values give safer text, 0 always takes the likeliest symbol
    #[arg(short, long, value_name = "F", value_parser = float, default_value_t = 1.0)]
    temperature: f32,
    /// Draw only from the N likeliest symbols
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1))]
    top_k: Option<usize>,
    /// Draw only from the likeliest symbols that together reach this probability
    #[arg(long, value_name = "F", value_parser = float)]
    top_p: Option<f32>,
    /// Random seed
    #[arg(short, long, value_name = "N", value_parser = whole::<u64>(0), default_value_t = 1)]
    seed: u64,
    /// Number of texts to print, with a line of dashes between them; texts of ids are one line each
    #[arg(long, value_name = "N", value_parser = whole::<u32>(0), default_value_t = 1)]
    count: u32,
    /// End a text after this one was drawn
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    stop: Option<String>,
    /// End a text with its document: after the --document-marker of the run was drawn
    #[arg(long, conflicts_with = "stop")]
    document: bool,
    /// Number format of the operands of products [default: as in the run, or int8 for a quantized file]
    #[arg(long, value_parser = precision())]
    precision: Option<Precision>,
    /// Number of threads; several run a large model faster [default: all cores]
    #[arg(short = 'j', long, value_name = "N", value_parser = whole::<NonZeroUsize>(1))]
    threads: Option<NonZeroUsize>,
}

/// Returns the failure for a flag or file whose ids are wrong.
fn in_flag(name: &str, error: &Error) -> Failure {
    Failure::Text { text: name.to_owned(), problem: error.to_string() }
}

impl SampleCommand {
    /// Loads the model and prints the texts.
    pub fn run(&self) -> Result<(), Failure> {
        let prompt = self.prompt_text()?;
        let checkpoint = RunCheckpoint::find(self.run.as_deref(), None)?.load()?;
        let model = checkpoint.model()?;
        let precision = self.precision.unwrap_or(checkpoint.precision());
        let writer = TextWriter {
            engine: Engine::with_precision(model, precision, self.threads.map(NonZeroUsize::get))?,
            vocabulary: &checkpoint.vocabulary,
            sampling: self.sampling(),
            length: self.length,
            stop: self.stop(&checkpoint)?,
            unknown: unknown(&self.unknown),
            opening: opening(&checkpoint.settings, &checkpoint.vocabulary),
        };
        self.note_unknown(&prompt, writer.vocabulary).map_err(|failure| self.naming_the_prompt(failure))?;
        let is_ids = writer.vocabulary.unit() == Unit::Ids;
        for sequence in 0..self.count {
            if sequence > 0 && !is_ids {
                output::line("\n--------")?;
            }
            writer.write(&prompt, sequence).map_err(|failure| self.naming_the_prompt(failure))?;
            if is_ids {
                output::line("")?;
            }
        }
        match std::io::stdout().is_terminal() && !is_ids {
            true => output::line(""),
            false => Ok(()),
        }
    }

    /// Returns the bytes that end the output.
    fn stop(&self, checkpoint: &Checkpoint) -> Result<Vec<u8>, Failure> {
        let marker = &checkpoint.settings.data.document_marker;
        let stop = self.stop.as_deref().unwrap_or_default();
        match self.document {
            false if checkpoint.vocabulary.unit() == Unit::Ids => {
                let ids = checkpoint.vocabulary.encode(stop).map_err(|error| in_flag("--stop", &error))?;
                Ok(ids.iter().flat_map(|id| id.to_le_bytes()).collect())
            }
            false => Ok(stop.into()),
            true if marker.is_empty() => Err(Failure::Usage(
                "--document: this run has no document-marker; use --stop to give the text that ends the output".to_owned(),
            )),
            true => Ok(marker.as_bytes().into()),
        }
    }

    fn sampling(&self) -> Sampling {
        Sampling { temperature: self.temperature, top_k: self.top_k, top_p: self.top_p, seed: self.seed }
    }

    /// Prints how many symbols of the prompt are skipped or replaced.
    fn note_unknown(&self, prompt: &str, vocabulary: &Vocabulary) -> Result<(), Failure> {
        let unknown = unknown(&self.unknown);
        if unknown == Unknown::Error {
            return Ok(());
        }
        // An invalid prompt is an error before anything is printed about it.
        vocabulary.encode_as(prompt, unknown)?;
        let all = match vocabulary.unit() {
            Unit::Char => prompt.chars().count(),
            Unit::Byte | Unit::Ids => prompt.len(),
        };
        let known = vocabulary.encode_as(prompt, Unknown::Skip)?.len();
        note_unknown("the prompt", all - known, all, unknown == Unknown::Skip);
        Ok(())
    }

    /// Names the prompt in an error message, where the library says "the text".
    fn naming_the_prompt(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Library(Error::UnknownSymbol { symbol, offset, known, .. }) => {
                Error::UnknownSymbol { text: self.prompt_name(), symbol, offset, known }.into()
            }
            Failure::Library(error @ Error::IdText { .. }) => in_flag(&self.prompt_name(), &error),
            other => other,
        }
    }

    fn prompt_name(&self) -> String {
        match &self.prompt_file {
            None => "--prompt".to_owned(),
            Some(file) if is_standard_input(file) => "standard input".to_owned(),
            Some(file) => file.display().to_string(),
        }
    }

    fn prompt_text(&self) -> Result<String, Failure> {
        let Some(file) = &self.prompt_file else { return Ok(self.prompt.clone().unwrap_or_default()) };
        let encoding = self.encoding.as_deref().map(Encoding::new).transpose()?;
        let options = CorpusOptions { encoding, ..CorpusOptions::default() };
        options.read_to_string(file).map_err(|error| without_unit(error, ""))
    }
}
