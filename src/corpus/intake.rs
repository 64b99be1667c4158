//! Opens files and streams one after another. Plain text in a file is read in place; other text is
//! decompressed and decoded once.

use super::{
    decode,
    decoding::{each_char, valid_up_to},
    invalid_utf8::invalid_utf8,
    opened::Opened,
    recognize::{FileRules, Form, HEAD},
    source::{Conversion, CorpusSource},
    spool::{Sink, Spool, too_large},
    standard_input::is_standard_input,
    unpack::{UnpackLimits, Unpacked},
};
use crate::{Error, Invalid, Result};
use std::{
    io::{self, Cursor, Read},
    path::Path,
    sync::Arc,
};

/// The largest text that is read into memory at once, in bytes. A prompt takes five times as much.
const AT_ONCE: usize = 256 << 20;

/// The name of standard input in messages.
const STANDARD_INPUT: &str = "standard input";

/// Opens files and streams, and stores the text that cannot be read in place.
#[derive(Debug)]
pub(super) struct Intake {
    rules: FileRules,
    spool: Spool,
    limits: UnpackLimits,
    /// True once standard input has been read.
    consumed: bool,
}

impl Intake {
    /// Creates an intake that keeps up to `memory` bytes of converted text in memory, and the rest
    /// in a temporary file.
    pub fn new(rules: FileRules, memory: usize) -> Self {
        Self { rules, spool: Spool::new(memory), limits: UnpackLimits::default(), consumed: false }
    }

    /// Opens a path, or standard input. `mapped` says whether a plain file is mapped.
    pub fn open(&mut self, path: &Path, mapped: bool) -> Result<CorpusSource> {
        if is_standard_input(path) {
            return self.standard_input();
        }
        match Opened::new(path, mapped)? {
            Opened::File(source) => self.file(source),
            Opened::Stream(name, stream) => self.stream(&name, stream),
        }
    }

    /// Maps the temporary file, if there is one. Called when all paths are open.
    pub fn finish(&self, sources: &mut [CorpusSource]) -> Result<()> {
        if let Some(map) = self.spool.map()?.map(Arc::new) {
            sources.iter_mut().for_each(|source| source.set_spool_map(&map));
        }
        Ok(())
    }

    fn standard_input(&mut self) -> Result<CorpusSource> {
        if std::mem::replace(&mut self.consumed, true) {
            return Err(Error::setting(
                "corpus",
                "standard input, twice",
                "it can be read once; name it once, or name files",
            ));
        }
        self.stream(STANDARD_INPUT, io::stdin().lock())
    }

    fn file(&mut self, source: CorpusSource) -> Result<CorpusSource> {
        let head = &source.bytes()[..source.bytes().len().min(HEAD)];
        if self.rules.compression(head).is_none()
            && let Form::Plain { mark } = self.rules.form(head)
        {
            return Ok(source.without_mark(mark));
        }
        let converted = self.convert(&source.name, head, source.bytes());
        // A file that was truncated meanwhile is not a damaged file.
        source.check_truncation()?;
        converted
    }

    fn stream(&mut self, name: &str, stream: impl Read) -> Result<CorpusSource> {
        let mut stream = Named { name, stream };
        let head = peek(&mut stream).map_err(|error| plain(error, name))?;
        self.convert(name, &head, Cursor::new(&head).chain(stream))
    }

    /// Decompresses and decodes `bytes`, which start with `head`.
    fn convert(&mut self, name: &str, head: &[u8], bytes: impl Read) -> Result<CorpusSource> {
        let Self { rules, spool, limits, .. } = self;
        let mut sink = spool.sink(name);
        let compression = rules.compression(head);
        let encoding = match compression {
            None => copy(rules, head, bytes, &mut sink, name),
            Some(compression) => {
                let mut unpacked = Unpacked::new(bytes, name, compression, *limits)?;
                peek(&mut unpacked)
                    .and_then(|head| copy(rules, &head, Cursor::new(&head).chain(unpacked), &mut sink, name))
            }
        };
        let encoding = encoding.map_err(|error| plain(error, name))?;
        let compression = compression.map(|compression| compression.name());
        Ok(CorpusSource::spooled(name, sink.finish(), Conversion { compression, encoding }))
    }
}

/// Reads the text of one file, or of standard input, without a byte-order mark. Its size has a
/// limit, because it is held in memory.
pub(super) fn read_to_string(path: &Path, rules: FileRules) -> Result<String> {
    let invalid = rules.invalid;
    let mut intake = Intake { spool: Spool::without_file(AT_ONCE), ..Intake::new(rules, 0) };
    let source = intake.open(path, true)?;
    match source.bytes().len() {
        length if length > AT_ONCE => Err(too_large(&source.name, AT_ONCE)),
        _ => {
            let text = to_string(&source, invalid);
            // A file that was truncated meanwhile is not an invalid text.
            source.check_truncation().and(text)
        }
    }
}

/// The whole text of a source.
fn to_string(source: &CorpusSource, on_invalid: Invalid) -> Result<String> {
    let mut text = String::with_capacity(source.bytes().len());
    let valid = each_char(source.bytes(), on_invalid, |_, c| text.push(c));
    match valid || on_invalid != Invalid::Error {
        true => Ok(text),
        false => Err(invalid_utf8(source, valid_up_to(source.bytes()))),
    }
}

/// Copies text that is not compressed, and decodes it if needed. Returns the name of the encoding
/// if it was decoded.
fn copy(
    rules: &FileRules,
    head: &[u8],
    mut bytes: impl Read,
    sink: &mut Sink<'_>,
    name: &str,
) -> io::Result<Option<String>> {
    match rules.form(head) {
        Form::Plain { mark } => {
            bytes.read_exact(&mut [0; 3][..mark])?;
            io::copy(&mut bytes, sink).map(|_| None)
        }
        Form::Encoded { name: encoding } => {
            decode::copy(bytes, sink, &encoding, rules.invalid, name).map(Some)
        }
        Form::Foreign { found, advice } => Err(io::Error::other(Error::NotPlainText {
            text: name.to_owned(),
            found: found.to_owned(),
            advice: advice.to_owned(),
        })),
    }
}

/// Reads the first bytes of a stream, which tell its format.
fn peek(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    stream.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The error inside an `io::Error`, or an error for itself.
fn plain(error: io::Error, name: &str) -> Error {
    error.downcast().unwrap_or_else(|source| Error::unreadable(name, source))
}

/// A stream whose read errors name it. They are not mistaken for damage of its content.
struct Named<'a, R> {
    name: &'a str,
    stream: R,
}

impl<R: Read> Read for Named<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.read(bytes).map_err(|source| match source.kind() {
            io::ErrorKind::Interrupted => source,
            _ => io::Error::other(Error::unreadable(self.name, source)),
        })
    }
}
