//! Decompression of a stream, with a limit on the size of the result.

use super::recognize::Compression;
use crate::{Error, Result};
use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

/// The largest size of a decompressed text.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnpackLimits {
    /// Number of bytes that are always allowed.
    pub free: u64,
    /// Beyond them: the largest ratio of decompressed to compressed bytes.
    pub ratio: u64,
}

impl Default for UnpackLimits {
    /// Text compresses to a tenth, logs to a hundredth.
    fn default() -> Self {
        Self { free: 1 << 30, ratio: 250 }
    }
}

/// Reads the content of a compressed stream. Damage is an error, never an early end.
pub(super) struct Unpacked<'a> {
    inner: Box<dyn Read + 'a>,
    text: String,
    compression: Compression,
    limits: UnpackLimits,
    /// Number of compressed bytes read so far.
    taken: Rc<Cell<u64>>,
    /// Number of decompressed bytes returned so far.
    given: u64,
}

impl<'a> Unpacked<'a> {
    /// Decompresses `packed`; messages call it `text`.
    ///
    /// # Errors
    /// [`Error::Feature`] in a build without the feature `compression`.
    pub fn new(
        packed: impl Read + 'a,
        text: &str,
        compression: Compression,
        limits: UnpackLimits,
    ) -> Result<Self> {
        let taken = Rc::new(Cell::new(0));
        let counted = Counted { inner: BufReader::new(packed), taken: taken.clone() };
        let inner = formats::open(counted, text, compression)?;
        Ok(Self { inner, text: text.to_owned(), compression, limits, taken, given: 0 })
    }

    fn damaged(&self, error: &io::Error) -> io::Error {
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
            _ => error.to_string(),
        };
        io::Error::other(Error::DamagedText {
            text: self.text.clone(),
            compression: self.compression.name(),
            offset: self.taken.get(),
            reason,
        })
    }

    fn check_size(&self) -> io::Result<()> {
        let (given, taken) = (self.given, self.taken.get());
        if given <= self.limits.free || given / self.limits.ratio <= taken {
            return Ok(());
        }
        let problem = format!(
            "grows beyond {} times its size ({given} bytes from {taken}), as no text does; if it is one, decompress it to a \
             file and name that",
            self.limits.ratio
        );
        Err(io::Error::other(Error::TextTooLarge { text: self.text.clone(), problem }))
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(bytes) {
            Ok(count) => {
                self.given += count as u64;
                self.check_size().map(|()| count)
            }
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Error>()) => Err(error),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.damaged(&error)),
        }
    }
}

/// Counts the bytes that are consumed.
struct Counted<R> {
    inner: BufReader<R>,
    taken: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.taken.set(self.taken.get() + count as u64);
        Ok(count)
    }
}

impl<R: Read> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.taken.set(self.taken.get() + count as u64);
        self.inner.consume(count);
    }
}

#[cfg(not(feature = "compression"))]
mod formats {
    use super::*;

    pub fn open<'a>(
        _: impl BufRead + 'a,
        text: &str,
        compression: Compression,
    ) -> Result<Box<dyn Read + 'a>> {
        let found = format!("compressed with {}", compression.name());
        Err(Error::Feature { text: text.to_owned(), found, feature: "compression" })
    }
}

#[cfg(feature = "compression")]
mod formats;

#[cfg(all(test, feature = "compression"))]
mod tests {
    use super::*;
    use std::io::Write;

    /// "xz text, xz text, xz text, and some caf\u{e9}\n", by `xz`.
    const XZ: &[u8] = b"\xFD\x37\x7A\x58\x5A\x00\x00\x04\xE6\xD6\xB4\x46\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2F\xE5\xA3\xE0\
        \x00\x29\x00\x1F\x5D\x00\x3C\x1E\x80\x06\x41\x9D\x5D\x36\x1A\xF4\xE5\x6E\x20\x35\x7A\xD9\x6B\x32\x19\x3D\xB3\xFE\xC4\
        \x17\xDB\xCC\xB0\xCC\xB3\x40\x00\x00\x00\x3E\x49\xCB\x8C\x22\xC6\x53\xC0\x00\x01\x3B\x2A\xC5\x93\x8F\xC7\x1F\xB6\xF3\
        \x7D\x01\x00\x00\x00\x00\x04\x59\x5A";
    const XZ_TEXT: &str = "xz text, xz text, xz text, and some caf\u{e9}\n";

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(text: &str) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &str) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn text() -> String {
        (0..3000).map(|n| format!("Line {n} of a text with a caf\u{e9} and {} more.\n", n * n)).collect()
    }

    /// One stream of every format, and its text.
    fn streams() -> [(Compression, Vec<u8>, String); 4] {
        [
            (Compression::Gzip, gzip(&text()), text()),
            (Compression::Bzip2, bzip2(&text()), text()),
            (Compression::Zstd, zstd(&text()), text()),
            (Compression::Xz, XZ.to_vec(), XZ_TEXT.to_owned()),
        ]
    }

    fn unpack(packed: &[u8], compression: Compression, limits: UnpackLimits) -> Result<String, String> {
        assert_eq!(Compression::of(packed), Some(compression));
        let mut out = String::new();
        let mut unpacked = Unpacked::new(packed, "a file", compression, limits).unwrap();
        unpacked.read_to_string(&mut out).map_err(|error| error.to_string())?;
        Ok(out)
    }

    #[test]
    fn streams_and_concatenated_streams_are_decompressed() {
        for (compression, packed, text) in streams() {
            let once = unpack(&packed, compression, UnpackLimits::default());
            assert_eq!(once.as_ref(), Ok(&text), "{compression:?}");
            let twice = unpack(&[&packed[..], &packed].concat(), compression, UnpackLimits::default());
            assert_eq!(twice, Ok(text.repeat(2)), "{compression:?}");
        }
    }

    #[test]
    fn zeros_may_follow_the_last_member_of_gzip() {
        let (one, two) = (gzip("one "), gzip("two"));
        // The last count is larger than a buffer.
        for count in [1, 3, 512, 100_000] {
            let zeros = vec![0; count];
            let padded = [&one[..], &two, &zeros].concat();
            assert_eq!(unpack(&padded, Compression::Gzip, UnpackLimits::default()), Ok("one two".into()));
            for more in [&two[..], b"x"] {
                let refused =
                    unpack(&[&one[..], &zeros, more].concat(), Compression::Gzip, UnpackLimits::default());
                let message = refused.unwrap_err();
                assert!(message.contains("zeros follow its end, and then other bytes"), "{message}");
            }
        }
    }

    #[test]
    fn skippable_frames_of_zstd_are_skipped() {
        let skipped = b"\x5A\x2A\x4D\x18\x05\0\0\0notes";
        let packed = [skipped, &zstd("one ")[..], skipped, &zstd("two"), skipped].concat();
        assert_eq!(unpack(&packed, Compression::Zstd, UnpackLimits::default()), Ok("one two".into()));
        let cut =
            unpack(&packed[..packed.len() - 1], Compression::Zstd, UnpackLimits::default()).unwrap_err();
        assert!(cut.contains("zstd data at offset 71: it ends too early"), "{cut}");
    }

    #[test]
    fn a_truncated_or_extended_stream_is_an_error_with_its_offset() {
        for (compression, packed, _) in streams() {
            let refused = |packed: &[u8]| unpack(packed, compression, UnpackLimits::default()).unwrap_err();
            for length in (10..packed.len()).step_by(packed.len() / 40) {
                let message = refused(&packed[..length]);
                let expected = format!(
                    "a file: damaged {} data at offset {length}: it ends too early;",
                    compression.name()
                );
                assert!(message.starts_with(&expected), "{length}: {message}");
            }
            let message = refused(&[&packed[..], b"and more"].concat());
            assert!(message.starts_with("a file: damaged ") && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn a_flipped_bit_is_an_error_and_never_gives_another_text() {
        for (compression, packed, text) in streams() {
            for at in (10..packed.len()).step_by(packed.len() / 50) {
                let mut flipped = packed.clone();
                flipped[at] ^= 4;
                let read = unpack(&flipped, compression, UnpackLimits::default());
                // Some bytes of the gzip header have no meaning and no checksum.
                assert!(read.as_ref().map_or(true, |read| *read == text), "{compression:?} at {at}");
            }
        }
    }

    #[test]
    fn a_text_that_grows_beyond_the_limits_is_refused() {
        let packed = gzip(&"a".repeat(1_000_000));
        let limits = |free, ratio| UnpackLimits { free, ratio };
        for allowed in [limits(1_000_000, 10), limits(1000, 5000)] {
            assert_eq!(unpack(&packed, Compression::Gzip, allowed).map(|text| text.len()), Ok(1_000_000));
        }
        let message = unpack(&packed, Compression::Gzip, limits(100_000, 250)).unwrap_err();
        assert!(message.starts_with("a file grows beyond 250 times its size ("), "{message}");
    }
}
