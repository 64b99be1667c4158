//! `unrolled sample`: text from a trained model, written as it is drawn.

use super::{
    failure::Failure,
    numbers::{float, whole},
    options::{encoding, unknown},
    output::{self, Symbols},
    run_folder::Trained,
    text::{note_unknown, without_unit},
};
use clap::{Args, builder::PossibleValuesParser};
use std::sync::Arc;
use std::{io::IsTerminal, path::PathBuf};
use unrolled::{
    Encoding, Error, Settings, Unit, Unknown,
    corpus::{Options, Vocabulary, is_standard_input},
    model::Model,
    sample::{Generator, Sampling},
};

/// Write text with a trained model
#[derive(Args)]
pub struct Sample {
    /// A run folder or a checkpoint file [default: the newest under runs/]
    run: Option<PathBuf>,
    /// Number of symbols to draw
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0), default_value_t = 500)]
    length: u64,
    /// Text to continue; it is written first
    #[arg(long, value_name = "TEXT", conflicts_with = "prompt_file")]
    prompt: Option<String>,
    /// File with the text to continue, or - for standard input
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// Encoding of that file, by its WHATWG label [default: utf-8, or as a byte-order mark says]
    #[arg(long, value_name = "NAME", value_parser = encoding, requires = "prompt_file", conflicts_with = "prompt")]
    encoding: Option<String>,
    /// What to do with symbols of the prompt that the model does not know: refuse it, leave them out, or read U+FFFD in their place
    /// (a space where the vocabulary has no U+FFFD)
    #[arg(long, value_parser = PossibleValuesParser::new(Unknown::NAMES), default_value = "error")]
    unknown: String,
    /// Divides the logits: below 1 is safer, above 1 is wilder, 0 takes the likeliest symbol
    #[arg(long, value_name = "F", value_parser = float, default_value_t = 1.0)]
    temperature: f32,
    /// Draw among the N likeliest symbols only
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1))]
    top_k: Option<usize>,
    /// Draw among the likeliest symbols that together reach this probability
    #[arg(long, value_name = "F", value_parser = float)]
    top_p: Option<f32>,
    /// Seed of the draws
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0), default_value_t = 1)]
    seed: u64,
    /// Number of texts to write, with a line of dashes between them
    #[arg(long, value_name = "N", value_parser = whole::<u32>(0), default_value_t = 1)]
    count: u32,
    /// End a text once it contains this one
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    stop: Option<String>,
    /// End a text with its document: once it contains the --document-marker of the run
    #[arg(long, conflicts_with = "stop")]
    document: bool,
}

impl Sample {
    /// Loads the model and writes the texts.
    pub fn run(&self) -> Result<(), Failure> {
        let prompt = self.prompt_text()?;
        let checkpoint = Trained::find(self.run.as_deref(), None)?.load()?;
        let model = checkpoint.model()?;
        let writer = Writer {
            model: model.into(),
            vocabulary: &checkpoint.vocabulary,
            sampling: self.sampling(),
            length: self.length,
            stop: self.stop(&checkpoint.settings)?,
            unknown: unknown(&self.unknown),
            opening: opening(&checkpoint.settings, &checkpoint.vocabulary),
        };
        self.note_unknown(&prompt, writer.vocabulary)?;
        for sequence in 0..self.count {
            if sequence > 0 {
                output::line("\n--------")?;
            }
            writer.write(&prompt, sequence).map_err(|failure| self.naming_the_prompt(failure))?;
        }
        match std::io::stdout().is_terminal() {
            true => output::line(""),
            false => Ok(()),
        }
    }

    /// What ends a text.
    fn stop<'a>(&'a self, settings: &'a Settings) -> Result<Option<&'a str>, Failure> {
        match self.document {
            false => Ok(self.stop.as_deref()),
            true if settings.data.document_marker.is_empty() => Err(Failure::Usage(
                "--document: this run has no document-marker; say with --stop what ends a text".to_owned(),
            )),
            true => Ok(Some(&settings.data.document_marker)),
        }
    }

    fn sampling(&self) -> Sampling {
        Sampling { temperature: self.temperature, top_k: self.top_k, top_p: self.top_p, seed: self.seed }
    }

    /// Says how many symbols of the prompt are left out or replaced.
    fn note_unknown(&self, prompt: &str, vocabulary: &Vocabulary) -> Result<(), Failure> {
        let unknown = unknown(&self.unknown);
        if unknown == Unknown::Error {
            return Ok(());
        }
        // Refuses a prompt that cannot be read before anything is said of it.
        vocabulary.encode_as(prompt, unknown)?;
        let all = match vocabulary.unit() {
            Unit::Char => prompt.chars().count(),
            Unit::Byte => prompt.len(),
        };
        let known = vocabulary.encode_as(prompt, Unknown::Skip)?.len();
        note_unknown("the prompt", all - known, all, unknown == Unknown::Skip);
        Ok(())
    }

    /// The library calls the text that it encodes "the text"; here it has a name.
    fn naming_the_prompt(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Library(Error::UnknownSymbol { symbol, offset, known, .. }) => {
                let file = self.prompt_file.as_ref().map(|file| match is_standard_input(file) {
                    true => "standard input".to_owned(),
                    false => file.display().to_string(),
                });
                let text = file.unwrap_or_else(|| "--prompt".to_owned());
                Error::UnknownSymbol { text, symbol, offset, known }.into()
            }
            other => other,
        }
    }

    fn prompt_text(&self) -> Result<String, Failure> {
        let Some(file) = &self.prompt_file else { return Ok(self.prompt.clone().unwrap_or_default()) };
        let encoding = self.encoding.as_deref().map(Encoding::new).transpose()?;
        let options = Options { encoding, ..Options::default() };
        options.read_to_string(file).map_err(|error| without_unit(error, ""))
    }
}

/// What a model reads before a text without a prompt: the end of a document, where it was trained on such.
pub fn opening<'a>(settings: &'a Settings, vocabulary: &Vocabulary) -> &'a str {
    let marker = settings.data.document_marker.as_str();
    if vocabulary.encode(marker).is_ok() { marker } else { "" }
}

/// How texts are written.
pub struct Writer<'a> {
    /// The model.
    pub model: Arc<Model>,
    /// Its symbols.
    pub vocabulary: &'a Vocabulary,
    /// How symbols are drawn.
    pub sampling: Sampling,
    /// Symbols to draw.
    pub length: u64,
    /// Ends the text once it has been drawn.
    pub stop: Option<&'a str>,
    /// What to do with symbols of the prompt that the model does not know.
    pub unknown: Unknown,
    /// Read before a text without a prompt, and not written.
    pub opening: &'a str,
}

impl Writer<'_> {
    /// Writes the prompt, then one text after it, each symbol whole and at once.
    pub fn write(&self, prompt: &str, sequence: u32) -> Result<(), Failure> {
        let mut generator =
            Generator::new(self.model.clone(), self.vocabulary, self.sampling.clone(), sequence.into())?;
        generator.prompt_as(if prompt.is_empty() { self.opening } else { prompt }, self.unknown)?;
        let mut out = Symbols::to_stdout();
        out.write(prompt.as_bytes())?;
        let mut tail = Tail::new(self.stop);
        let mut symbol = Vec::new();
        for _ in 0..self.length {
            symbol.clear();
            self.vocabulary.write(generator.next_id(), &mut symbol);
            out.write(&symbol)?;
            if tail.ends_with_stop(&symbol) {
                break;
            }
        }
        out.finish()
    }
}

/// The end of what was drawn, as long as the text that stops it.
struct Tail<'a> {
    stop: &'a [u8],
    bytes: Vec<u8>,
}

impl<'a> Tail<'a> {
    fn new(stop: Option<&'a str>) -> Self {
        Self { stop: stop.unwrap_or_default().as_bytes(), bytes: Vec::new() }
    }

    fn ends_with_stop(&mut self, symbol: &[u8]) -> bool {
        self.bytes.extend_from_slice(symbol);
        let spare = self.bytes.len().saturating_sub(self.stop.len());
        self.bytes.drain(..spare);
        !self.stop.is_empty() && self.bytes == self.stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stops_when_the_stop_text_is_complete() {
        let mut tail = Tail::new(Some("ab\u{e9}"));
        let hits: Vec<_> = ["a", "a", "b", "\u{e9}", "x"].map(|s| tail.ends_with_stop(s.as_bytes())).into();
        assert_eq!(hits, [false, false, false, true, false]);
        let mut none = Tail::new(None);
        assert!(!none.ends_with_stop(b"a"));
    }
}
