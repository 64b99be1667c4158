//! The memory map itself: the only unsafe code of this crate.
#![allow(unsafe_code)]

use memmap2::Mmap;
use std::{fs::File, io};

/// Maps a file to read.
pub(super) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is read-only and is only ever seen as bytes, for which every bit pattern is valid: each
    // read checks and decodes them anew, and none is kept as `str`. A file that another program changes
    // meanwhile gives other symbols; `Corpus::unchanged` tells of it.
    unsafe { Mmap::map(file) }
}
