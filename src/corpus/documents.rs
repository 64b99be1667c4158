//! Documents within a file. The marker ends a document and is a part of it.
//!
//! A stretch of white space and markers alone is not a document. It belongs to the document before
//! it, or to the one after it at the beginning of a file. So a line feed after the last marker, or
//! two blank lines where one is the marker, give no additional document.

use super::source::CorpusSource;
use memchr::memmem::{self, Finder};
use std::ops::Range;

/// A stretch of a source that is decoded by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Index of its source.
    pub source: u32,
    /// Index of its document in the corpus.
    pub document: u32,
    /// Its range of bytes in the source.
    pub bytes: Range<usize>,
}

impl Piece {
    /// A whole source.
    pub fn whole(source: usize, sources: &[CorpusSource]) -> Self {
        Self { source: source as u32, document: source as u32, bytes: 0..sources[source].bytes().len() }
    }
}

/// The sources in order, with the source of index `between`, if any, between each two.
pub(super) fn whole(sources: &[CorpusSource], between: Option<usize>) -> Vec<Piece> {
    let count = between.unwrap_or(sources.len());
    let separated = |at| between.into_iter().chain([at]);
    let order = (0..count).flat_map(separated).skip(between.map_or(0, |_| 1));
    order.map(|at| Piece::whole(at, sources)).collect()
}

/// The sources in order. The source of index `marker` follows each source that does not end with
/// it, except the last.
pub(super) fn marked(sources: &[CorpusSource], marker: usize) -> Vec<Piece> {
    let pieces = (0..marker).map(|at| Piece::whole(at, sources)).collect();
    with_markers(pieces, sources, marker)
}

/// All documents, in the order that `shuffle` gives them.
pub(super) fn shuffled(
    sources: &[CorpusSource],
    marker: usize,
    shuffle: impl FnOnce(&mut [Piece]),
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (source, text) in (0..).zip(&sources[..marker]) {
        let documents = Documents::new(text.bytes(), sources[marker].bytes());
        pieces.extend(documents.map(|bytes| Piece { source, document: 0, bytes }));
    }
    shuffle(&mut pieces);
    (0..).zip(&mut pieces).for_each(|(number, piece)| piece.document = number);
    with_markers(pieces, sources, marker)
}

/// Adds the marker after each piece that lacks it, except the last.
fn with_markers(pieces: Vec<Piece>, sources: &[CorpusSource], marker: usize) -> Vec<Piece> {
    let text = sources[marker].bytes();
    let lacks: Vec<bool> = sources[..marker].iter().map(|source| !is_ended(source.bytes(), text)).collect();
    let mut out = Vec::with_capacity(pieces.len());
    for piece in pieces {
        if let Some(Piece { source, document, bytes }) = out.last()
            && lacks[*source as usize]
            && bytes.end == sources[*source as usize].bytes().len()
        {
            out.push(Piece { document: *document, ..Piece::whole(marker, sources) });
        }
        out.push(piece);
    }
    out
}

/// Returns whether the last document ends with the marker.
fn is_ended(bytes: &[u8], marker: &[u8]) -> bool {
    memmem::rfind(bytes, marker).is_some_and(|at| is_blank(&bytes[at + marker.len()..]))
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}

/// Iterates over the documents of some bytes.
pub(super) struct Documents<'a> {
    bytes: &'a [u8],
    marker: Finder<'a>,
    /// Start of the next document.
    at: usize,
    /// The next stretch that a marker ends: true if it is blank, and its end.
    next: Option<(bool, usize)>,
}

impl<'a> Documents<'a> {
    /// The documents of `bytes`. The marker must not be empty.
    pub fn new(bytes: &'a [u8], marker: &'a [u8]) -> Self {
        let mut documents = Self { bytes, marker: Finder::new(marker), at: 0, next: None };
        documents.look(0);
        documents
    }

    /// Finds the stretch that starts at `start`.
    fn look(&mut self, start: usize) {
        let rest = &self.bytes[start..];
        self.next = (!rest.is_empty()).then(|| match self.marker.find(rest) {
            Some(body) => (is_blank(&rest[..body]), start + body + self.marker.needle().len()),
            None => (is_blank(rest), self.bytes.len()),
        });
    }
}

impl Iterator for Documents<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        let mut full = false;
        while let Some((blank, end)) = self.next
            && (blank || !full)
        {
            full |= !blank;
            self.at = end;
            self.look(end);
        }
        (self.at > start).then_some(start..self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split<'a>(text: &'a str, marker: &str) -> Vec<&'a str> {
        Documents::new(text.as_bytes(), marker.as_bytes()).map(|range| &text[range]).collect()
    }

    #[test]
    fn a_marker_ends_a_document_and_blank_stretches_are_no_documents() {
        assert_eq!(split("one|two|three", "|"), ["one|", "two|", "three"]);
        assert_eq!(split("one|two|\n", "|"), ["one|", "two|\n"]);
        assert_eq!(split("a\n\nb\n\n\n\nc\n", "\n\n"), ["a\n\n", "b\n\n\n\n", "c\n"]);
        assert_eq!(split("||a|", "|"), ["||a|"]);
        assert_eq!(split("no marker", "|"), ["no marker"]);
        assert_eq!(split(" \n", "|"), [" \n"]);
        assert_eq!(split("", "|"), [""; 0]);
        assert_eq!(split("aaaa", "aa"), ["aaaa"]);
    }

    fn pieces(texts: &[&str], marker: &str, reverse: bool) -> String {
        let mut sources: Vec<_> =
            texts.iter().map(|text| CorpusSource::held("a text", text.as_bytes().to_vec())).collect();
        sources.push(CorpusSource::held("the marker", marker.as_bytes().to_vec()));
        let pieces = match reverse {
            true => shuffled(&sources, texts.len(), |pieces| pieces.reverse()),
            false => marked(&sources, texts.len()),
        };
        let bytes = pieces.iter().flat_map(|p| &sources[p.source as usize].bytes()[p.bytes.clone()]);
        String::from_utf8(bytes.copied().collect()).unwrap()
    }

    #[test]
    fn every_document_but_the_last_has_its_marker() {
        assert_eq!(pieces(&["a|b", "c|d|\n", "e"], "|", false), "a|b|c|d|\ne");
        assert_eq!(pieces(&["a|b", "c|d|\n", "e"], "|", true), "e|d|\nc|b|a|");
        assert_eq!(pieces(&["a"], "|", true), "a");
    }

    #[test]
    fn a_separator_is_between_whole_sources() {
        let sources = ["a", "b", "-"].map(|text| CorpusSource::held("", text.as_bytes().to_vec()));
        let order = |between| whole(&sources, between).iter().map(|piece| piece.source).collect::<Vec<_>>();
        assert_eq!(order(Some(2)), [0, 2, 1]);
        assert_eq!(order(None), [0, 1, 2]);
    }
}
