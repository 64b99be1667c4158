//! Writing text with a model to standard output, symbol by symbol.

use super::{failure::Failure, output::SymbolOutput};
use unrolled::{
    Settings, Unit, Unknown,
    corpus::Vocabulary,
    exec::Engine,
    sample::{Generator, Sampling},
};

/// Returns what a model reads before a text without a prompt: the document marker, if the corpus
/// has one.
pub fn opening<'a>(settings: &'a Settings, vocabulary: &Vocabulary) -> &'a str {
    let marker = settings.data.document_marker.as_str();
    if vocabulary.encode(marker).is_ok() { marker } else { "" }
}

/// Writes texts with a model.
pub struct TextWriter<'a> {
    /// The model, and the threads that run it.
    pub engine: Engine,
    /// The vocabulary of the model.
    pub vocabulary: &'a Vocabulary,
    /// How symbols are drawn.
    pub sampling: Sampling,
    /// Number of symbols to draw.
    pub length: u64,
    /// Ends the output after it was drawn: bytes of text, or of ids in little-endian order. Empty
    /// for none.
    pub stop: Vec<u8>,
    /// Treatment of symbols of the prompt that the vocabulary lacks.
    pub unknown: Unknown,
    /// Read before a text without a prompt, but not written.
    pub opening: &'a str,
}

impl TextWriter<'_> {
    /// Writes the prompt and one text after it, each symbol as soon as it is drawn. Ids are
    /// separated by spaces.
    pub fn write(&self, prompt: &str, sequence: u32) -> Result<(), Failure> {
        let mut generator =
            Generator::of(&self.engine, self.vocabulary, self.sampling.clone(), sequence.into())?;
        generator.prompt_as(if prompt.is_empty() { self.opening } else { prompt }, self.unknown)?;
        let is_ids = self.vocabulary.unit() == Unit::Ids;
        let prompt = if is_ids { words(prompt) } else { prompt.to_owned() };
        let mut out = SymbolOutput::to_stdout();
        out.write(prompt.as_bytes())?;
        let (mut stop_text, mut symbol) = (StopText::new(&self.stop), Vec::new());
        for index in 0..self.length {
            symbol.clear();
            if index > 0 || !prompt.is_empty() {
                symbol.extend_from_slice(self.vocabulary.separator().as_bytes());
            }
            let id = generator.next_id();
            self.vocabulary.write(id, &mut symbol);
            out.write(&symbol)?;
            let bytes = id.to_le_bytes();
            if stop_text.ends_with_stop(if is_ids { &bytes } else { &symbol }) {
                break;
            }
        }
        out.finish()
    }
}

/// Returns the words of a text, separated by single spaces.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Detects the text that ends the output.
struct StopText<'a> {
    stop: &'a [u8],
    /// The last bytes drawn, at most as many as `stop` has.
    last: Vec<u8>,
}

impl<'a> StopText<'a> {
    fn new(stop: &'a [u8]) -> Self {
        Self { stop, last: Vec::new() }
    }

    /// Adds a symbol. Returns whether the output now ends with the stop text.
    fn ends_with_stop(&mut self, symbol: &[u8]) -> bool {
        self.last.extend_from_slice(symbol);
        let spare = self.last.len().saturating_sub(self.stop.len());
        self.last.drain(..spare);
        !self.stop.is_empty() && self.last == self.stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stop_text_is_found_when_it_is_complete() {
        let mut stop_text = StopText::new("ab\u{e9}".as_bytes());
        let hits: Vec<_> =
            ["a", "a", "b", "\u{e9}", "x"].map(|s| stop_text.ends_with_stop(s.as_bytes())).into();
        assert_eq!(hits, [false, false, false, true, false]);
        let mut none = StopText::new(&[]);
        assert!(!none.ends_with_stop(b"a"));
    }
}
