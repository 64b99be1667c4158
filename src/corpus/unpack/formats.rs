//! The readers of the compressed formats.

use super::*;
use flate2::bufread::GzDecoder;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// The most memory that an xz stream may need, in KiB; `xz -9` needs 65 MiB.
const XZ_MEMORY: u32 = 512 << 10;

pub fn open<'a>(packed: impl BufRead + 'a, _: &str, compression: Compression) -> Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::Gzip => Box::new(Members { member: Some(GzDecoder::new(packed)) }),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
        Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, XZ_MEMORY)),
        Compression::Zstd => Box::new(Frames { source: packed, decoder: FrameDecoder::new(), within: false }),
    })
}

/// The members of a gzip stream, one after the other. Zeros may follow the last one, as padding
/// of tapes and disks.
struct Members<R> {
    /// None at the end of the stream.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    /// Starts the next member, or ends the stream.
    fn next(&mut self) -> io::Result<()> {
        let Some(mut source) = self.member.take().map(GzDecoder::into_inner) else { return Ok(()) };
        let mut padded = false;
        while source.fill_buf()?.first() == Some(&0) {
            source.consume(1);
            padded = true;
        }
        self.member = match source.fill_buf()?.is_empty() {
            true => None,
            false if padded => return Err(invalid("zeros follow its end, and then other bytes")),
            false => Some(GzDecoder::new(source)),
        };
        Ok(())
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = self.member.as_mut().filter(|_| !bytes.is_empty()) {
            match member.read(bytes)? {
                0 => self.next()?,
                count => return Ok(count),
            }
        }
        Ok(0)
    }
}

/// The frames of a zstd stream, one after the other.
struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    /// True from the start of a frame to its end.
    within: bool,
}

impl<R: BufRead> Frames<R> {
    /// Starts the next frame. Returns false at the end of the stream.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            use {FrameDecoderError::ReadFrameHeaderError as Header, ReadFrameHeaderError::SkipFrame};
            match self.decoder.init(&mut self.source) {
                Ok(()) => {
                    self.within = true;
                    return Ok(true);
                }
                Err(Header(SkipFrame { length, .. })) => self.skip(length.into())?,
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    /// Checks the checksum of the frame that has ended.
    fn end(&mut self) -> io::Result<()> {
        self.within = false;
        match self.decoder.get_checksum_from_data() {
            recorded @ Some(_) if recorded != self.decoder.get_calculated_checksum() => {
                Err(invalid("the checksum is not the one that it records"))
            }
            _ => Ok(()),
        }
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        match io::copy(&mut self.source.by_ref().take(length), &mut io::sink())? {
            copied if copied == length => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// The error for a failure of the decoder, which may mean the end of the data.
    fn failed(&mut self, error: FrameDecoderError) -> io::Error {
        match self.source.fill_buf() {
            Ok([]) => io::ErrorKind::UnexpectedEof.into(),
            _ => invalid(error),
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while !bytes.is_empty() && (self.within || self.begin()?) {
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let decoded =
                    self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(|error| self.failed(error))?;
            }
            match self.decoder.read(bytes)? {
                0 => self.end()?,
                count => return Ok(count),
            }
        }
        Ok(0)
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
