//! The single pass over all bytes when a corpus is opened: it counts symbols, finds the distinct
//! ones and builds the index.
//!
//! Every source is cut into spans, which are scanned in parallel. A cut never splits a symbol.

use super::{
    decoding::{Decoding, char_boundary, valid_up_to},
    documents::Piece,
    invalid_utf8::invalid_utf8,
    seen_symbols::SeenSymbols,
    source::CorpusSource,
    span::{MARK, ScanSpan},
};
use crate::{Invalid, Result, Unit};
use crc32fast::Hasher;
use rayon::prelude::*;
use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

/// Number of bytes in a span: it stays in the L2 cache while it is read three times.
pub(super) const SPAN: usize = 256 << 10;

/// The result of the scan.
pub(super) struct Scan {
    /// The spans that hold a symbol, in order.
    pub spans: Vec<ScanSpan>,
    /// The symbols that occur.
    pub seen: SeenSymbols,
    /// Number of symbols that are read.
    pub symbols: usize,
    /// Number of symbols that are skipped. Not counted in `symbols`.
    pub skipped: usize,
    /// CRC-32 of all bytes.
    pub checksum: u32,
    /// CRC-32 of each source.
    pub checksums: Vec<u32>,
}

/// A function that the scan calls with the number of bytes scanned and the number of all bytes.
pub(super) type ScanCallback<'a> = &'a (dyn Fn(u64, u64) + Sync);

impl Scan {
    /// Scans pieces of the sources, in the order given, in spans of about `size` bytes. `shuffled`
    /// is true if the pieces of a source may be anywhere in that order.
    pub fn new(
        sources: &[CorpusSource],
        pieces: &[Piece],
        shuffled: bool,
        decoding: Decoding<'_>,
        size: usize,
        progress: Option<ScanCallback<'_>>,
    ) -> Result<Self> {
        let cuts: Vec<_> = pieces.iter().flat_map(|piece| cut(piece, sources, decoding, size)).collect();
        let (done, all) = (AtomicU64::new(0), cuts.iter().map(|piece| piece.bytes.len() as u64).sum());
        let stretch = cuts
            .into_par_iter()
            .fold(Stretch::empty, |stretch, piece| {
                let bytes = piece.bytes.len() as u64;
                let stretch = stretch.add(piece, sources, decoding);
                let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
                progress.iter().for_each(|report| report(done, all));
                stretch
            })
            .reduce(Stretch::empty, Stretch::join);
        if let Some((source, offset)) = stretch.invalid {
            return Err(invalid_utf8(&sources[source], offset));
        }
        let checksums = shuffled.then(|| sources.par_iter().map(|s| crc32fast::hash(s.bytes())).collect());
        Ok(stretch.finish(sources.len(), checksums))
    }
}

/// The symbols and checksums of consecutive spans.
struct Stretch {
    spans: Vec<ScanSpan>,
    seen: SeenSymbols,
    /// Number of symbols that are skipped.
    skipped: usize,
    /// The sources of the spans, and the checksum of the spans' bytes in each.
    hashes: Vec<(usize, Hasher)>,
    /// Source and offset of the first bytes that are not UTF-8, where they are an error.
    invalid: Option<(usize, usize)>,
}

impl Stretch {
    fn empty() -> Self {
        Self { spans: Vec::new(), seen: SeenSymbols::none(), skipped: 0, hashes: Vec::new(), invalid: None }
    }

    /// Adds the next span.
    fn add(mut self, piece: Piece, sources: &[CorpusSource], decoding: Decoding<'_>) -> Self {
        let Piece { source, document, bytes: range } = piece;
        let bytes = &sources[source as usize].bytes()[range.clone()];
        self.hash(source as usize, range.start, bytes);
        let length = bytes.len() as u32;
        let mut span =
            ScanSpan { source, document, start: range.start, length, symbols: 0, first: 0, marks: None };
        match (decoding.unit, decoding.is_uniform(bytes)) {
            (Unit::Ids, _) => self.add_ids(&mut span, bytes, decoding),
            (Unit::Char | Unit::Byte, true) => {
                let seen = self.seen.listed.bytes_mut();
                bytes.iter().for_each(|&byte| seen[usize::from(byte)] = true);
                span.symbols = length;
            }
            (Unit::Char | Unit::Byte, false) => self.add_symbols(&mut span, bytes, decoding),
        }
        self.spans.push(span);
        self
    }

    /// Adds the bytes from offset `start` of a source on to its checksum.
    fn hash(&mut self, source: usize, start: usize, bytes: &[u8]) {
        match self.hashes.last_mut().filter(|(last, _)| *last == source && start > 0) {
            Some((_, hash)) => hash.update(bytes),
            None => {
                let mut hash = Hasher::new();
                hash.update(bytes);
                self.hashes.push((source, hash));
            }
        }
    }

    /// Counts the ids of a span and finds the highest.
    fn add_ids(&mut self, span: &mut ScanSpan, bytes: &[u8], decoding: Decoding<'_>) {
        let (count, mut highest) = (bytes.len() / decoding.symbol_bytes(), 0);
        decoding.each_uniform(bytes, 0..count, |_, id| highest = highest.max(id));
        if count > 0 {
            self.seen.highest_id = self.seen.highest_id.max(Some(highest));
        }
        span.symbols = count as u32;
    }

    /// Counts, marks and collects the symbols of a span.
    fn add_symbols(&mut self, span: &mut ScanSpan, bytes: &[u8], decoding: Decoding<'_>) {
        let (mut count, mut marks) = (0, Vec::with_capacity(bytes.len() / MARK));
        let seen = &mut self.seen.listed;
        let collect = |offset, symbol| {
            if count % MARK == 0 && count > 0 {
                marks.push(offset as u32);
            }
            count += 1;
            if !seen.get(symbol) {
                seen.set(symbol, true);
            }
        };
        let valid = decoding.each_or(bytes, collect, || self.skipped += 1);
        if decoding.invalid == Invalid::Error && !valid {
            let offset = span.start + valid_up_to(bytes);
            self.invalid = self.invalid.or(Some((span.source as usize, offset)));
        }
        span.symbols = count as u32;
        span.marks = Some(marks.into());
    }

    /// Joins this stretch with the one that follows it.
    fn join(mut self, next: Self) -> Self {
        let goes_on = next.spans.first().is_some_and(|span| span.start > 0);
        let mut hashes = next.hashes.into_iter();
        if let (true, Some((_, last))) = (goes_on, self.hashes.last_mut())
            && let Some((_, first)) = hashes.next()
        {
            last.combine(&first);
        }
        self.hashes.extend(hashes);
        self.spans.extend(next.spans);
        self.skipped += next.skipped;
        self.seen.add(&next.seen);
        self.invalid = self.invalid.or(next.invalid);
        self
    }

    /// The result, for `sources` sources. `checksums` are those of whole sources, if they are
    /// known.
    fn finish(self, sources: usize, checksums: Option<Vec<u32>>) -> Scan {
        let Self { mut spans, seen, skipped, hashes, .. } = self;
        spans.retain(|span| span.symbols > 0);
        let mut symbols = 0;
        for span in &mut spans {
            span.first = symbols;
            symbols += span.symbols();
        }
        let (mut all, mut of_hashes) = (Hasher::new(), vec![0; sources]);
        for (source, hash) in hashes {
            all.combine(&hash);
            of_hashes[source] = hash.finalize();
        }
        let checksums = checksums.unwrap_or(of_hashes);
        Scan { spans, seen, symbols, skipped, checksum: all.finalize(), checksums }
    }
}

/// Cuts a piece into spans of about `size` bytes that split no symbol.
fn cut<'a>(
    piece: &Piece,
    sources: &'a [CorpusSource],
    decoding: Decoding<'_>,
    size: usize,
) -> impl Iterator<Item = Piece> + use<'a> {
    let Piece { source, document, bytes: Range { mut start, end } } = piece.clone();
    let bytes = &sources[source as usize].bytes()[..end];
    let (is_ids, size) = (decoding.unit == Unit::Ids, size.next_multiple_of(decoding.symbol_bytes()));
    std::iter::from_fn(move || {
        let aimed = start.saturating_add(size);
        let end = if is_ids { aimed.min(bytes.len()) } else { char_boundary(bytes, aimed) };
        let bytes = start..end;
        start = end;
        (!bytes.is_empty()).then_some(Piece { source, document, bytes })
    })
}
