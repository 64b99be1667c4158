//! Spans: the pieces of a corpus that are scanned in parallel, with a sparse index for reads.
//!
//! A span of bytes, of ASCII or of ids needs no index, because all its symbols have the same number
//! of bytes. Any other span records the byte offset of every 256th symbol: about one byte of index
//! for a hundred bytes of text. A read starts at such a mark and decodes from there.

use super::decoding::Decoding;
use std::ops::Range;

/// Number of symbols from one mark to the next.
pub(super) const MARK: usize = 256;

/// A stretch of one source. A corpus of many small documents has one span for each, so spans are
/// small.
#[derive(Debug)]
pub(super) struct ScanSpan {
    /// Index of its source.
    pub source: u32,
    /// Index of its document in the corpus.
    pub document: u32,
    /// Offset of its first byte in the source.
    pub start: usize,
    /// Number of bytes.
    pub length: u32,
    /// Number of symbols; never 0 after the scan.
    pub symbols: u32,
    /// Number of symbols of the corpus before it.
    pub first: usize,
    /// Byte offsets of the symbols 256, 512, ... in the span. `None` if all its symbols have the
    /// same number of bytes.
    pub marks: Option<Box<[u32]>>,
}

impl ScanSpan {
    /// Its range of bytes in the source.
    pub fn bytes(&self) -> Range<usize> {
        self.start..self.start + self.length as usize
    }

    /// Number of symbols in it.
    pub fn symbols(&self) -> usize {
        self.symbols as usize
    }

    /// Number of symbols before the byte at `offset` of this span, where a symbol starts. `bytes`
    /// are the bytes of the span.
    pub fn symbols_before(&self, bytes: &[u8], decoding: Decoding<'_>, offset: usize) -> usize {
        let Some(marks) = &self.marks else { return offset / decoding.symbol_bytes() };
        let block = marks.partition_point(|&mark| mark as usize <= offset);
        let mut count = block * MARK;
        decoding.each(&bytes[block_bytes(marks, block, offset).start..offset], |_, _| count += 1);
        count
    }

    /// Calls `symbol` with the index in `symbols` and the value of each of these symbols of this
    /// span. `bytes` are the bytes of the span.
    #[inline]
    pub fn read(
        &self,
        bytes: &[u8],
        decoding: Decoding<'_>,
        symbols: Range<usize>,
        mut symbol: impl FnMut(usize, u32),
    ) {
        let Some(marks) = &self.marks else { return decoding.each_uniform(bytes, symbols, symbol) };
        for block in symbols.start / MARK..symbols.end.div_ceil(MARK) {
            let mut at = block * MARK;
            decoding.each(&bytes[block_bytes(marks, block, bytes.len())], |_, value| {
                if symbols.contains(&at) {
                    symbol(at - symbols.start, value);
                }
                at += 1;
            });
        }
    }

    /// Number of bytes of memory that the span takes.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.marks.as_ref().map_or(0, |marks| size_of_val(&**marks))
    }

    /// The first symbol for which `wanted` is true, and its offset in the span.
    pub fn find(
        &self,
        bytes: &[u8],
        decoding: Decoding<'_>,
        wanted: impl Fn(u32) -> bool,
    ) -> Option<(u32, usize)> {
        let mut found = None;
        decoding.each(bytes, |offset, symbol| {
            if found.is_none() && wanted(symbol) {
                found = Some((symbol, offset));
            }
        });
        found
    }
}

/// The bytes from one mark to the next, or to the end.
fn block_bytes(marks: &[u32], block: usize, end: usize) -> Range<usize> {
    let start = block.checked_sub(1).map_or(0, |before| marks[before] as usize);
    start..marks.get(block).map_or(end, |&next| next as usize)
}
