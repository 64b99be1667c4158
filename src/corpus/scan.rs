//! The one pass over all bytes when a text is opened: counts symbols, finds the distinct ones, builds the index.
//!
//! Every source is cut into spans, which are scanned in parallel. A span of bytes, or of ASCII, needs no index: its
//! symbols lie at their byte offsets. Any other span records the byte offset of every 256th symbol, about one byte
//! of index to a hundred of text; a read starts at such a mark and decodes from there.
//!
//! # Where a span may end
//! A byte that does not look like 10xxxxxx begins a sequence, whatever stands before it; and no sequence has more
//! than three bytes of that look. A cut that is moved past them, three at most, therefore parts no character, and
//! the pieces decode to the same symbols as the whole, invalid bytes included.

use super::{decode, documents::Piece, pages::Pages, source::Source, vocabulary::UNKNOWN};
use crate::{Error, Invalid, Result, Unit};
use crc32fast::Hasher;
use rayon::prelude::*;
use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

/// Bytes in a span: they stay in the L2 cache while they are looked at three times.
pub(super) const SPAN: usize = 256 << 10;
/// Symbols from one mark to the next.
const MARK: usize = 256;

/// How bytes become symbols.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    pub unit: Unit,
    pub invalid: Invalid,
    /// The only symbols that are read; all others are left out. All are read when absent.
    pub known: Option<&'a Pages<u32>>,
}

impl Reading<'_> {
    /// Whether every byte is a symbol that is read.
    fn knows_all(self, bytes: &[u8]) -> bool {
        self.known.is_none_or(|known| bytes.iter().all(|&byte| known.get(byte.into()) != UNKNOWN))
    }

    /// Calls `symbol` with the offset and the value of every symbol that is read; returns whether all bytes are valid.
    #[inline]
    fn each(self, bytes: &[u8], symbol: impl FnMut(usize, u32)) -> bool {
        self.each_or(bytes, symbol, || ())
    }

    /// The same, and calls `left_out` for every symbol that is not read.
    #[inline]
    fn each_or(self, bytes: &[u8], mut symbol: impl FnMut(usize, u32), mut left_out: impl FnMut()) -> bool {
        // Nearly every text is read whole: that loop has no other question in it.
        let Some(known) = self.known else {
            return match self.unit {
                Unit::Char => each_symbol(bytes, self.invalid, |offset, c| symbol(offset, c.into())),
                Unit::Byte => {
                    (0..).zip(bytes).for_each(|(offset, &byte)| symbol(offset, byte.into()));
                    true
                }
            };
        };
        let mut filter = |offset, value| match known.get(value) {
            UNKNOWN => left_out(),
            _ => symbol(offset, value),
        };
        match self.unit {
            Unit::Char => each_symbol(bytes, self.invalid, |offset, c| filter(offset, c.into())),
            Unit::Byte => {
                (0..).zip(bytes).for_each(|(offset, &byte)| filter(offset, byte.into()));
                true
            }
        }
    }
}

/// A stretch of one source. A text of many small documents has one for each, so it is kept small.
#[derive(Debug)]
pub(super) struct Span {
    /// Which source.
    pub source: u32,
    /// Number of its document in the text.
    pub document: u32,
    /// Where it begins in the source.
    start: usize,
    /// Its bytes.
    length: u32,
    /// Symbols in it; never 0 once the scan is done.
    symbols: u32,
    /// Symbols of the text before it.
    pub first: usize,
    /// Where symbols 256, 512, ... begin, in bytes from the span's start; none when every byte is a symbol.
    marks: Option<Box<[u32]>>,
}

/// What the scan finds.
pub(super) struct Scan {
    /// In order, without those that hold no symbol.
    pub spans: Vec<Span>,
    /// True at the symbols that occur.
    pub seen: Pages<bool>,
    /// Symbols in all.
    pub symbols: usize,
    /// Symbols that are not read, which are not among those.
    pub left_out: usize,
    /// CRC-32 of all bytes.
    pub checksum: u32,
    /// And of each source.
    pub checksums: Vec<u32>,
}

impl Scan {
    /// Scans pieces of the sources, in the order given, in spans of about `size` bytes. `shuffled` says that the pieces of a
    /// source may lie anywhere.
    pub fn new(
        sources: &[Source],
        pieces: &[Piece],
        shuffled: bool,
        reading: Reading<'_>,
        size: usize,
        progress: Option<&(dyn Fn(u64, u64) + Sync)>,
    ) -> Result<Self> {
        let cuts: Vec<_> = pieces.iter().flat_map(|piece| cut(piece, sources, size)).collect();
        let (done, all) = (AtomicU64::new(0), cuts.iter().map(|piece| piece.bytes.len() as u64).sum());
        let stretch = cuts
            .into_par_iter()
            .fold(Stretch::empty, |stretch, piece| {
                let bytes = piece.bytes.len() as u64;
                let stretch = stretch.add(piece, sources, reading);
                let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
                progress.iter().for_each(|report| report(done, all));
                stretch
            })
            .reduce(Stretch::empty, Stretch::join);
        if let Some((source, offset)) = stretch.invalid {
            return Err(invalid(&sources[source], offset));
        }
        let Stretch { mut spans, seen, parts, left_out, .. } = stretch;
        spans.retain(|span| span.symbols > 0);
        let mut symbols = 0;
        for span in &mut spans {
            span.first = symbols;
            symbols += span.symbols();
        }
        let (mut whole, mut checksums) = (Hasher::new(), vec![0; sources.len()]);
        for (source, part) in parts {
            whole.combine(&part);
            checksums[source] = part.finalize();
        }
        if shuffled {
            checksums = sources.par_iter().map(|source| crc32fast::hash(source.bytes())).collect();
        }
        Ok(Self { spans, seen, symbols, left_out, checksum: whole.finalize(), checksums })
    }
}

/// What is found in consecutive spans.
struct Stretch {
    spans: Vec<Span>,
    seen: Pages<bool>,
    /// Symbols that are not read.
    left_out: usize,
    /// The sources that the spans lie in, and the checksum of what lies in them.
    parts: Vec<(usize, Hasher)>,
    /// Source and offset of the first bytes that are not UTF-8, where they are an error.
    invalid: Option<(usize, usize)>,
}

impl Stretch {
    fn empty() -> Self {
        Self { spans: Vec::new(), seen: Pages::new(false), left_out: 0, parts: Vec::new(), invalid: None }
    }

    /// Adds the span that comes next.
    fn add(mut self, piece: Piece, sources: &[Source], reading: Reading<'_>) -> Self {
        let Piece { source, document, bytes: range } = piece;
        let bytes = &sources[source as usize].bytes()[range.clone()];
        match self.parts.last_mut().filter(|(last, _)| *last == source as usize && range.start > 0) {
            Some((_, part)) => part.update(bytes),
            None => {
                let mut part = Hasher::new();
                part.update(bytes);
                self.parts.push((source as usize, part));
            }
        }
        let length = bytes.len() as u32;
        let mut span =
            Span { source, document, start: range.start, length, symbols: length, first: 0, marks: None };
        let single = reading.unit == Unit::Byte || bytes.is_ascii();
        if single && reading.knows_all(bytes) {
            let seen = self.seen.bytes_mut();
            bytes.iter().for_each(|&byte| seen[usize::from(byte)] = true);
        } else {
            self.add_symbols(&mut span, bytes, reading);
        }
        self.spans.push(span);
        self
    }

    /// Counts, marks and collects the symbols of a span.
    fn add_symbols(&mut self, span: &mut Span, bytes: &[u8], reading: Reading<'_>) {
        let (mut count, mut marks) = (0, Vec::with_capacity(bytes.len() / MARK));
        let collect = |offset, symbol| {
            if count % MARK == 0 && count > 0 {
                marks.push(offset as u32);
            }
            count += 1;
            if !self.seen.get(symbol) {
                self.seen.set(symbol, true);
            }
        };
        let valid = reading.each_or(bytes, collect, || self.left_out += 1);
        if reading.invalid == Invalid::Error && !valid {
            let offset = span.start + valid_up_to(bytes);
            self.invalid = self.invalid.or(Some((span.source as usize, offset)));
        }
        span.symbols = count as u32;
        span.marks = Some(marks.into());
    }

    /// This stretch and the one that follows it.
    fn join(mut self, next: Self) -> Self {
        let goes_on = next.spans.first().is_some_and(|span| span.start > 0);
        let mut parts = next.parts.into_iter();
        if let (true, Some((_, last))) = (goes_on, self.parts.last_mut())
            && let Some((_, first)) = parts.next()
        {
            last.combine(&first);
        }
        self.parts.extend(parts);
        self.spans.extend(next.spans);
        self.left_out += next.left_out;
        next.seen.symbols().for_each(|symbol| self.seen.set(symbol, true));
        self.invalid = self.invalid.or(next.invalid);
        self
    }
}

impl Span {
    /// Its bytes in the source.
    pub fn bytes(&self) -> Range<usize> {
        self.start..self.start + self.length as usize
    }

    /// Symbols in it.
    pub fn symbols(&self) -> usize {
        self.symbols as usize
    }

    /// Symbols before the byte at `offset` of this span, whose bytes are given; a character begins there.
    pub fn symbols_before(&self, bytes: &[u8], reading: Reading<'_>, offset: usize) -> usize {
        let Some(marks) = &self.marks else { return offset };
        let block = marks.partition_point(|&mark| mark as usize <= offset);
        let mut count = block * MARK;
        reading.each(&bytes[block_bytes(marks, block, offset).start..offset], |_, _| count += 1);
        count
    }

    /// Calls `symbol` with the place in `symbols` and the code point (or byte) of each of these symbols of this span,
    /// whose bytes are given.
    #[inline]
    pub fn read(
        &self,
        bytes: &[u8],
        reading: Reading<'_>,
        symbols: Range<usize>,
        mut symbol: impl FnMut(usize, u32),
    ) {
        let Some(marks) = &self.marks else {
            return (0..).zip(&bytes[symbols]).for_each(|(at, &byte)| symbol(at, byte.into()));
        };
        for block in symbols.start / MARK..symbols.end.div_ceil(MARK) {
            let mut at = block * MARK;
            reading.each(&bytes[block_bytes(marks, block, bytes.len())], |_, value| {
                if symbols.contains(&at) {
                    symbol(at - symbols.start, value);
                }
                at += 1;
            });
        }
    }

    /// Bytes that it takes itself.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.marks.as_ref().map_or(0, |marks| size_of_val(&**marks))
    }

    /// The first symbol that the table marks with `value`, and its offset in the span.
    pub fn find(
        &self,
        bytes: &[u8],
        invalid: Invalid,
        table: &Pages<u32>,
        value: u32,
    ) -> Option<(u32, usize)> {
        let mut found = None;
        let mut look = |offset, symbol| {
            if found.is_none() && table.get(symbol) == value {
                found = Some((symbol, offset));
            }
        };
        match self.marks {
            None => (0..).zip(bytes).for_each(|(offset, &byte)| look(offset, byte.into())),
            Some(_) => _ = each_symbol(bytes, invalid, |offset, c| look(offset, c.into())),
        }
        found
    }
}

/// The bytes from one mark to the next, or to the end.
fn block_bytes(marks: &[u32], block: usize, end: usize) -> Range<usize> {
    let start = block.checked_sub(1).map_or(0, |before| marks[before] as usize);
    start..marks.get(block).map_or(end, |&next| next as usize)
}

/// Cuts a piece into spans of about `size` bytes, nowhere within a character.
fn cut<'a>(piece: &Piece, sources: &'a [Source], size: usize) -> impl Iterator<Item = Piece> + use<'a> {
    let Piece { source, document, bytes: Range { mut start, end } } = piece.clone();
    let bytes = &sources[source as usize].bytes()[..end];
    std::iter::from_fn(move || {
        let end = border(bytes, start.saturating_add(size));
        let bytes = start..end;
        start = end;
        (!bytes.is_empty()).then_some(Piece { source, document, bytes })
    })
}

/// The first place from `at` on that lies within no character; see the module's text.
fn border(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let inner = rest.iter().take(3).take_while(|&&byte| byte & 0xC0 == 0x80).count();
    (at + inner).min(bytes.len())
}

/// Calls `symbol` with the byte offset of every character and the character; returns whether all bytes are valid.
///
/// Invalid bytes give U+FFFD per maximal sequence, as in `String::from_utf8_lossy`, if they are to be replaced, and
/// nothing otherwise.
#[inline]
fn each_symbol(bytes: &[u8], invalid: Invalid, mut symbol: impl FnMut(usize, char)) -> bool {
    // Valid text is the rule, and checked several times faster as a whole than in chunks.
    let whole = simdutf8::basic::from_utf8(bytes).ok();
    let rest = if whole.is_some() { &[] } else { bytes };
    let mut at = 0;
    let pieces = rest.utf8_chunks().flat_map(|chunk| {
        let (valid, bad) = (at, at + chunk.valid().len());
        at = bad + chunk.invalid().len();
        let replaced = invalid == Invalid::Replace && at > bad;
        [(valid, chunk.valid()), (bad, if replaced { "\u{FFFD}" } else { "" })]
    });
    // One loop for both, so that `symbol` is inlined.
    for (start, text) in whole.map(|text| (0, text)).into_iter().chain(pieces) {
        for (offset, c) in text.char_indices() {
            symbol(start + offset, c);
        }
    }
    whole.is_some()
}

/// Bytes before the first that are not UTF-8.
fn valid_up_to(bytes: &[u8]) -> usize {
    std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len)
}

/// Bytes looked at, to guess the encoding of a text.
const GUESSED_FROM: usize = 1 << 20;

/// The error for bytes that are not UTF-8.
fn invalid(source: &Source, offset: usize) -> Error {
    let bytes = source.bytes();
    let start = border(bytes, offset.saturating_sub(GUESSED_FROM / 2));
    let near = &bytes[start..bytes.len().min(start + GUESSED_FROM)];
    let looks = decode::guess(near).map(str::to_owned);
    Error::InvalidUtf8 { text: source.name.clone(), offset: offset + source.mark, looks }
}

/// The text of a source as a whole.
pub(super) fn to_string(source: &Source, on_invalid: Invalid) -> Result<String> {
    let mut text = String::with_capacity(source.bytes().len());
    let valid = each_symbol(source.bytes(), on_invalid, |_, c| text.push(c));
    match valid || on_invalid != Invalid::Error {
        true => Ok(text),
        false => Err(invalid(source, valid_up_to(source.bytes()))),
    }
}
