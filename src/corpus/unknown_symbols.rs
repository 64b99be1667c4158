//! Symbols of a corpus that are not in its vocabulary, and a corpus with another vocabulary.

use super::{Corpus, Vocabulary, span::ScanSpan, unknown_id::UNKNOWN};
use crate::{Error, Result, Unit, Unknown};
use rayon::prelude::*;

impl Corpus {
    /// Returns the corpus with another vocabulary, such as that of a checkpoint, which may have
    /// symbols that do not occur in the corpus. Does not scan the corpus again unless a symbol is
    /// missing.
    ///
    /// # Errors
    /// [`Error::UnknownSymbol`] or [`Error::UnknownId`] for a symbol of the corpus that is not in
    /// the vocabulary, unless such symbols are replaced. [`Error::Setting`] for a vocabulary of
    /// another unit, and for a corpus that skipped symbols that were not in its first vocabulary:
    /// open that one with this vocabulary.
    pub fn with_vocabulary(mut self, vocabulary: &Vocabulary) -> Result<Self> {
        if *vocabulary == self.vocabulary {
            return Ok(self);
        }
        self.vocabulary.check_unit(vocabulary)?;
        if self.unknown == Unknown::Skip {
            let expected = "it was opened with another vocabulary and skipped the symbols that are not in it; open it \
                            with this one";
            return Err(Error::setting("unknown", "skip", expected));
        }
        let complete = self.unknown_symbols == 0 && self.vocabulary.places_in(vocabulary).is_ok();
        self.stand_in = vocabulary.stand_in(if complete { Unknown::Error } else { self.unknown })?;
        self.vocabulary = vocabulary.clone();
        self.unknown_symbols = 0;
        if !complete {
            self.check_unknown()?;
        }
        Ok(self)
    }

    /// Handles symbols that are read and not in the vocabulary: counts them if they are replaced,
    /// and otherwise refuses the first.
    pub(super) fn check_unknown(&mut self) -> Result<()> {
        match self.unknown {
            Unknown::Error => self.check_all_known(),
            Unknown::Skip => Ok(()),
            Unknown::Replace => {
                self.unknown_symbols = self.spans.par_iter().map(|span| self.count_unknown(span)).sum();
                Ok(())
            }
        }
    }

    fn count_unknown(&self, span: &ScanSpan) -> usize {
        let mut count = 0;
        span.read(self.bytes(span), self.decoding(), 0..span.symbols(), |_, symbol| {
            count += usize::from(self.vocabulary.id_of(symbol) == UNKNOWN);
        });
        count
    }

    /// Returns an error for the first symbol that is not in the vocabulary.
    fn check_all_known(&self) -> Result<()> {
        let is_unknown = |symbol| self.vocabulary.id_of(symbol) == UNKNOWN;
        let found = self.spans.par_iter().find_map_first(|span| {
            let found = span.find(self.bytes(span), self.decoding(), is_unknown);
            found.map(|(symbol, offset)| (symbol, span.source as usize, span.bytes().start + offset))
        });
        match found {
            None => Ok(()),
            Some((symbol, source, offset)) => Err(self.unknown_error(symbol, source, offset)),
        }
    }

    /// The error for a symbol at a byte offset of a source.
    fn unknown_error(&self, symbol: u32, source: usize, offset: usize) -> Error {
        let source = &self.sources[source];
        match self.vocabulary.unit() {
            Unit::Ids => Error::UnknownId {
                text: source.name.clone(),
                id: symbol,
                position: offset / self.decoding().symbol_bytes(),
                vocabulary: self.vocabulary.len(),
            },
            _ => self.vocabulary.unknown(&source.name, symbol, offset + source.mark),
        }
    }
}
