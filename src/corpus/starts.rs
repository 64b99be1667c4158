//! The splits of a corpus, and the starts of its documents.

use super::{Corpus, documents::Documents, span::ScanSpan, split::Split};
use crate::{Result, SplitBy};
use memchr::memmem;

impl Corpus {
    /// Returns the contiguous training, validation and test splits: fractions of the symbols, or
    /// the borders between documents nearest to them.
    ///
    /// Two files and a test fraction of 0, split by document, give one file for training and one
    /// for validation.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a fraction is not in [0, 1), if nothing would
    /// be left to train on, or if there are fewer documents than splits.
    pub fn split(&self, by: SplitBy, val: f64, test: f64) -> Result<Split> {
        let split = Split::new(self.len, val, test)?;
        match by {
            SplitBy::Tail => Ok(split),
            SplitBy::Document => split.at_documents(&self.starts()),
        }
    }

    /// Number of documents that have a symbol: files, or what the document marker ends within them.
    pub fn document_count(&self) -> usize {
        self.starts().len()
    }

    /// Returns whether the document marker occurs in the files. False if there is none.
    pub fn has_document_marker(&self) -> bool {
        let finder = memmem::Finder::new(&self.marker);
        let mut files = self.sources[..self.documents].iter();
        !self.marker.is_empty() && files.any(|source| finder.find(source.bytes()).is_some())
    }

    /// The first symbol of every document that has any.
    pub(super) fn starts(&self) -> Vec<usize> {
        let spans = self.spans.iter().filter(|span| (span.source as usize) < self.documents);
        if self.marker.is_empty() || self.shuffled {
            let mut starts: Vec<_> = spans.collect();
            starts.dedup_by_key(|span| span.document);
            return starts.into_iter().map(|span| span.first).collect();
        }
        let files = self.spans.chunk_by(|one, next| one.source == next.source);
        let mut starts: Vec<_> = files.flat_map(|spans| self.starts_in(spans)).collect();
        starts.dedup();
        starts
    }

    /// The first symbols of the documents in one file, whose spans are given. A document without a
    /// symbol starts where the next one does, or nowhere after the last symbol of the file.
    fn starts_in<'a>(&'a self, spans: &'a [ScanSpan]) -> impl Iterator<Item = usize> + 'a {
        let source = spans[0].source as usize;
        let bytes = if source < self.documents { self.sources[source].bytes() } else { &[] };
        let end = spans.last().map_or(0, |span| span.first + span.symbols());
        let mut at = 0;
        let starts = Documents::new(bytes, self.marker.as_bytes()).map(move |document| {
            while at + 1 < spans.len() && spans[at].bytes().end <= document.start {
                at += 1;
            }
            let span = &spans[at];
            let offset = document.start.saturating_sub(span.bytes().start).min(span.bytes().len());
            span.first + span.symbols_before(self.bytes(span), self.decoding(), offset)
        });
        starts.filter(move |&first| first < end)
    }
}
