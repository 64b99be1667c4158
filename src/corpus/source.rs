//! The bytes of a corpus: mapped files, parts of a temporary file, or memory.

use crate::Result;
use std::borrow::Cow;
#[cfg(feature = "files")]
use {
    super::{map::Mapping, mapped_file::MappedFile, spool::SpooledText},
    std::{ops::Range, sync::Arc},
};

/// A stretch of a corpus that is decoded by itself: a file, or data in memory.
#[derive(Debug)]
pub(super) struct CorpusSource {
    /// The path, or a name for messages.
    pub name: String,
    /// Number of bytes of the byte-order mark, which is not a part of the text.
    pub mark: usize,
    pub conversion: Conversion,
    bytes: SourceBytes,
}

/// The conversion of the bytes to UTF-8 text.
#[derive(Debug, Default)]
pub(super) struct Conversion {
    /// The format that they were decompressed from.
    pub compression: Option<&'static str>,
    /// The encoding that they were decoded from.
    pub encoding: Option<String>,
}

#[derive(Debug)]
enum SourceBytes {
    Memory(Cow<'static, [u8]>),
    /// Ids in memory, each stored as four bytes in little-endian order.
    Ids(Vec<u32>),
    #[cfg(feature = "files")]
    Mapped(MappedFile),
    /// A range of the temporary file. There is no mapping before everything is written.
    #[cfg(feature = "files")]
    Spooled {
        map: Option<Arc<Mapping>>,
        range: Range<usize>,
    },
}

impl CorpusSource {
    /// Text in memory.
    pub fn held(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        Self::new(name.into(), SourceBytes::Memory(bytes.into()))
    }

    /// Ids in memory, as a file of 32-bit ids has them.
    pub fn of_ids(name: &str, mut ids: Vec<u32>) -> Self {
        ids.iter_mut().for_each(|id| *id = id.to_le());
        Self::new(name.into(), SourceBytes::Ids(ids))
    }

    /// A mapped file.
    #[cfg(feature = "files")]
    pub fn mapped(name: String, file: MappedFile) -> Self {
        Self::new(name, SourceBytes::Mapped(file))
    }

    /// Text that was decompressed, decoded or read from a stream.
    #[cfg(feature = "files")]
    pub fn spooled(name: &str, text: SpooledText, conversion: Conversion) -> Self {
        let bytes = match text {
            SpooledText::Memory(bytes) => SourceBytes::Memory(bytes.into()),
            SpooledText::File(range) => SourceBytes::Spooled { map: None, range },
        };
        Self { conversion, ..Self::new(name.into(), bytes) }
    }

    fn new(name: String, bytes: SourceBytes) -> Self {
        Self { name, mark: 0, conversion: Conversion::default(), bytes }
    }

    /// The same source without a byte-order mark of `mark` bytes.
    #[cfg(feature = "files")]
    pub fn without_mark(self, mark: usize) -> Self {
        Self { mark, ..self }
    }

    /// Sets the mapping of the temporary file, if the text is in that file.
    #[cfg(feature = "files")]
    pub fn set_spool_map(&mut self, file: &Arc<Mapping>) {
        if let SourceBytes::Spooled { map, .. } = &mut self.bytes {
            *map = Some(file.clone());
        }
    }

    /// The bytes, without the byte-order mark.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let bytes = match &self.bytes {
            SourceBytes::Memory(bytes) => &**bytes,
            SourceBytes::Ids(ids) => bytemuck::cast_slice(ids),
            #[cfg(feature = "files")]
            SourceBytes::Mapped(file) => file.bytes(),
            #[cfg(feature = "files")]
            SourceBytes::Spooled { map: Some(map), range } => &map[range.clone()],
            #[cfg(feature = "files")]
            SourceBytes::Spooled { map: None, .. } => &[],
        };
        &bytes[self.mark..]
    }

    /// Number of bytes that it takes in memory.
    pub fn memory(&self) -> usize {
        match &self.bytes {
            SourceBytes::Memory(_) | SourceBytes::Ids(_) => self.bytes().len(),
            #[cfg(feature = "files")]
            _ => 0,
        }
    }

    /// Returns whether it is read in place from a file of the user's.
    pub fn is_mapped(&self) -> bool {
        #[cfg(feature = "files")]
        return matches!(self.bytes, SourceBytes::Mapped(_));
        #[cfg(not(feature = "files"))]
        false
    }

    /// Returns an error if the file is no longer the one that was mapped.
    pub fn check_unchanged(&self) -> Result<()> {
        match &self.bytes {
            #[cfg(feature = "files")]
            SourceBytes::Mapped(file) => file.check_unchanged(),
            _ => Ok(()),
        }
    }

    /// Returns an error if bytes were read that the file no longer has.
    pub fn check_truncation(&self) -> Result<()> {
        match &self.bytes {
            #[cfg(feature = "files")]
            SourceBytes::Mapped(file) => file.check_truncation(),
            _ => Ok(()),
        }
    }
}
