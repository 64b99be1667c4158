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

use super::{pages::Pages, source::Source, vocabulary::UNKNOWN};
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
    fn each(self, bytes: &[u8], mut symbol: impl FnMut(usize, u32)) -> bool {
        // Nearly every text is read whole: that loop has no other question in it.
        let Some(known) = self.known else {
            return match self.unit {
                Unit::Char => decode(bytes, self.invalid, |offset, c| symbol(offset, c.into())),
                Unit::Byte => {
                    (0..).zip(bytes).for_each(|(offset, &byte)| symbol(offset, byte.into()));
                    true
                }
            };
        };
        let mut filter = |offset, value| {
            if known.get(value) != UNKNOWN {
                symbol(offset, value);
            }
        };
        match self.unit {
            Unit::Char => decode(bytes, self.invalid, |offset, c| filter(offset, c.into())),
            Unit::Byte => {
                (0..).zip(bytes).for_each(|(offset, &byte)| filter(offset, byte.into()));
                true
            }
        }
    }
}

/// A stretch of one source.
#[derive(Debug)]
pub(super) struct Span {
    /// Which source.
    pub source: usize,
    /// Its bytes there.
    pub bytes: Range<usize>,
    /// Symbols of the text before it.
    pub first: usize,
    /// Symbols in it; never 0 once the scan is done.
    pub symbols: usize,
    /// Where symbols 0, 256, 512, ... begin, in bytes from the span's start; none when every byte is a symbol.
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
    /// CRC-32 of all bytes.
    pub checksum: u32,
    /// And of each source.
    pub checksums: Vec<u32>,
}

impl Scan {
    /// Scans the sources, in the order given (one may come more than once), in spans of about `size` bytes.
    pub fn new(
        sources: &[Source],
        order: &[usize],
        reading: Reading<'_>,
        size: usize,
        progress: Option<&(dyn Fn(u64, u64) + Sync)>,
    ) -> Result<Self> {
        let cuts: Vec<_> = order.iter().flat_map(|&at| cut(at, sources[at].bytes(), size)).collect();
        let (done, all) = (AtomicU64::new(0), cuts.iter().map(|(_, range)| range.len() as u64).sum());
        let stretch = cuts
            .into_par_iter()
            .fold(Stretch::empty, |stretch, (source, range)| {
                let bytes = range.len() as u64;
                let stretch = stretch.add(source, range, sources, reading);
                let done = done.fetch_add(bytes, Ordering::Relaxed) + bytes;
                progress.iter().for_each(|report| report(done, all));
                stretch
            })
            .reduce(Stretch::empty, Stretch::join);
        if let Some((source, offset)) = stretch.invalid {
            return Err(Error::InvalidUtf8 { text: sources[source].name.clone(), offset });
        }
        let Stretch { mut spans, seen, parts, .. } = stretch;
        spans.retain(|span| span.symbols > 0);
        let mut symbols = 0;
        for span in &mut spans {
            span.first = symbols;
            symbols += span.symbols;
        }
        let (mut whole, mut checksums) = (Hasher::new(), vec![0; sources.len()]);
        for (source, part) in parts {
            whole.combine(&part);
            checksums[source] = part.finalize();
        }
        Ok(Self { spans, seen, symbols, checksum: whole.finalize(), checksums })
    }
}

/// What is found in consecutive spans.
struct Stretch {
    spans: Vec<Span>,
    seen: Pages<bool>,
    /// The sources that the spans lie in, and the checksum of what lies in them.
    parts: Vec<(usize, Hasher)>,
    /// Source and offset of the first bytes that are not UTF-8, where they are an error.
    invalid: Option<(usize, usize)>,
}

impl Stretch {
    fn empty() -> Self {
        Self { spans: Vec::new(), seen: Pages::new(false), parts: Vec::new(), invalid: None }
    }

    /// Adds the span that comes next.
    fn add(mut self, source: usize, range: Range<usize>, sources: &[Source], reading: Reading<'_>) -> Self {
        let bytes = &sources[source].bytes()[range.clone()];
        match self.parts.last_mut().filter(|(last, _)| *last == source && range.start > 0) {
            Some((_, part)) => part.update(bytes),
            None => {
                let mut part = Hasher::new();
                part.update(bytes);
                self.parts.push((source, part));
            }
        }
        let mut span = Span { source, bytes: range, first: 0, symbols: bytes.len(), marks: None };
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
        let (mut count, mut marks) = (0, Vec::with_capacity(bytes.len() / MARK + 1));
        let valid = reading.each(bytes, |offset, symbol| {
            if count % MARK == 0 {
                marks.push(offset as u32);
            }
            count += 1;
            if !self.seen.get(symbol) {
                self.seen.set(symbol, true);
            }
        });
        if reading.invalid == Invalid::Error && !valid {
            let offset = span.bytes.start + valid_up_to(bytes);
            self.invalid = self.invalid.or(Some((span.source, offset)));
        }
        span.symbols = count;
        span.marks = Some(marks.into());
    }

    /// This stretch and the one that follows it.
    fn join(mut self, next: Self) -> Self {
        let goes_on = next.spans.first().is_some_and(|span| span.bytes.start > 0);
        let mut parts = next.parts.into_iter();
        if let (true, Some((_, last))) = (goes_on, self.parts.last_mut())
            && let Some((_, first)) = parts.next()
        {
            last.combine(&first);
        }
        self.parts.extend(parts);
        self.spans.extend(next.spans);
        next.seen.symbols().for_each(|symbol| self.seen.set(symbol, true));
        self.invalid = self.invalid.or(next.invalid);
        self
    }
}

impl Span {
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
            Some(_) => _ = decode(bytes, invalid, |offset, c| look(offset, c.into())),
        }
        found
    }
}

/// The bytes from one mark to the next, or to the end.
fn block_bytes(marks: &[u32], block: usize, end: usize) -> Range<usize> {
    marks[block] as usize..marks.get(block + 1).map_or(end, |&next| next as usize)
}

/// Cuts a source into spans of about `size` bytes, nowhere within a character.
fn cut(source: usize, bytes: &[u8], size: usize) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
    let mut start = 0_usize;
    std::iter::from_fn(move || {
        let end = border(bytes, start.saturating_add(size));
        let range = start..end;
        start = end;
        (!range.is_empty()).then_some((source, range))
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
fn decode(bytes: &[u8], invalid: Invalid, mut symbol: impl FnMut(usize, char)) -> bool {
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
