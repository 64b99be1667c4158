//! Documents within a file: each ends with the marker, which is a part of it.
//!
//! A stretch that holds nothing but white space and markers is no document by itself: it belongs to the one before, or at
//! the beginning of a file to the one after. So a line feed behind the last marker, or two blank lines where one is the
//! marker, make no document.

use super::source::Source;
use memchr::memmem::{self, Finder};
use std::ops::Range;

/// A stretch of a source that is decoded by itself, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Which source.
    pub source: u32,
    /// Number of its document in the text.
    pub document: u32,
    /// Its bytes there.
    pub bytes: Range<usize>,
}

impl Piece {
    /// A source as a whole.
    pub fn whole(source: usize, sources: &[Source]) -> Self {
        Self { source: source as u32, document: source as u32, bytes: 0..sources[source].bytes().len() }
    }
}

/// The sources one after the other, with the source number `between`, if there is one, between each two.
pub(super) fn whole(sources: &[Source], between: Option<usize>) -> Vec<Piece> {
    let count = between.unwrap_or(sources.len());
    let parted = |at| between.into_iter().chain([at]);
    (0..count).flat_map(parted).skip(between.map_or(0, |_| 1)).map(|at| Piece::whole(at, sources)).collect()
}

/// The same, but the source number `marker` stands only behind a source without the marker at its end.
pub(super) fn marked(sources: &[Source], marker: usize) -> Vec<Piece> {
    let pieces = (0..marker).map(|at| Piece::whole(at, sources)).collect();
    with_markers(pieces, sources, marker)
}

/// All documents, in the order that `shuffle` brings them into.
pub(super) fn shuffled(sources: &[Source], marker: usize, shuffle: impl FnOnce(&mut [Piece])) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (source, text) in (0..).zip(&sources[..marker]) {
        let documents = Documents::new(text.bytes(), sources[marker].bytes());
        pieces.extend(documents.map(|bytes| Piece { source, document: 0, bytes }));
    }
    shuffle(&mut pieces);
    (0..).zip(&mut pieces).for_each(|(number, piece)| piece.document = number);
    with_markers(pieces, sources, marker)
}

/// Puts the marker behind each piece that lacks it, but for the last.
fn with_markers(pieces: Vec<Piece>, sources: &[Source], marker: usize) -> Vec<Piece> {
    let text = sources[marker].bytes();
    let open: Vec<bool> = sources[..marker].iter().map(|source| !is_ended(source.bytes(), text)).collect();
    let mut out = Vec::with_capacity(pieces.len());
    for piece in pieces {
        if let Some(Piece { source, document, bytes }) = out.last()
            && open[*source as usize]
            && bytes.end == sources[*source as usize].bytes().len()
        {
            out.push(Piece { document: *document, ..Piece::whole(marker, sources) });
        }
        out.push(piece);
    }
    out
}

/// Whether the last document has the marker at its end.
fn is_ended(bytes: &[u8], marker: &[u8]) -> bool {
    memmem::rfind(bytes, marker).is_some_and(|at| is_blank(&bytes[at + marker.len()..]))
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}

/// Walks over the documents of some bytes.
pub(super) struct Documents<'a> {
    bytes: &'a [u8],
    marker: Finder<'a>,
    /// Where the next begins.
    at: usize,
    /// The next stretch that a marker ends: whether it is blank, and its end.
    next: Option<(bool, usize)>,
}

impl<'a> Documents<'a> {
    /// Of these bytes; the marker is not empty.
    pub fn new(bytes: &'a [u8], marker: &'a [u8]) -> Self {
        let mut documents = Self { bytes, marker: Finder::new(marker), at: 0, next: None };
        documents.look(0);
        documents
    }

    /// Looks for the stretch that begins at `start`.
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
    fn a_marker_ends_a_document_and_blanks_are_none() {
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
            texts.iter().map(|text| Source::held("a text", text.as_bytes().to_vec())).collect();
        sources.push(Source::held("the marker", marker.as_bytes().to_vec()));
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
    fn whole_sources_are_parted() {
        let sources = ["a", "b", "-"].map(|text| Source::held("", text.as_bytes().to_vec()));
        let order = |between| whole(&sources, between).iter().map(|piece| piece.source).collect::<Vec<_>>();
        assert_eq!(order(Some(2)), [0, 2, 1]);
        assert_eq!(order(None), [0, 1, 2]);
    }
}
