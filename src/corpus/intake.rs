//! One file or stream after another, as the bytes of its text: in place where it is plain text in a file, or else
//! decompressed and decoded once.

use super::{
    decode,
    recognise::{Form, HEAD, How},
    scan,
    source::{Opened, Origin, Source},
    spool::{Sink, Spool, too_large},
    unpack::{Limits, Unpacked},
};
use crate::{Error, Result};
use std::{
    io::{self, Cursor, Read},
    path::Path,
    sync::Arc,
};

/// Bytes of a text that is read at once at most: a prompt takes five times as much.
const AT_ONCE: usize = 256 << 20;

/// What a person would call the text that comes from there.
const STANDARD_INPUT: &str = "standard input";

/// Opens files and streams, and keeps what cannot stay where it is.
#[derive(Debug)]
pub(super) struct Intake {
    how: How,
    spool: Spool,
    limits: Limits,
    /// Whether standard input has been read.
    consumed: bool,
}

/// Whether a path stands for standard input: `-`, `/dev/stdin` and its other names.
pub fn is_standard_input(path: &Path) -> bool {
    ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].iter().any(|name| path == Path::new(name))
}

impl Intake {
    /// One that keeps `memory` bytes of converted text in memory, and the rest in a temporary file.
    pub fn new(how: How, memory: usize) -> Self {
        Self { how, spool: Spool::new(memory), limits: Limits::default(), consumed: false }
    }

    /// Opens what is at a path, or standard input. A plain file is mapped if it may be.
    pub fn open(&mut self, path: &Path, mapped: bool) -> Result<Source> {
        if is_standard_input(path) {
            return self.standard_input();
        }
        match Opened::new(path, mapped)? {
            Opened::File(source) => self.file(source),
            Opened::Stream(name, stream) => self.stream(&name, stream),
        }
    }

    /// Everything has been opened: maps the temporary file, if there is one.
    pub fn settle(&self, sources: &mut [Source]) -> Result<()> {
        if let Some(map) = self.spool.map()?.map(Arc::new) {
            sources.iter_mut().for_each(|source| source.settle(&map));
        }
        Ok(())
    }

    fn standard_input(&mut self) -> Result<Source> {
        if std::mem::replace(&mut self.consumed, true) {
            return Err(Error::setting(
                "corpus",
                "standard input, twice",
                "it can be read once; name it once, or name files",
            ));
        }
        self.stream(STANDARD_INPUT, io::stdin().lock())
    }

    fn file(&mut self, source: Source) -> Result<Source> {
        let head = &source.bytes()[..source.bytes().len().min(HEAD)];
        if self.how.compression(head).is_none()
            && let Form::Plain { mark } = self.how.form(head)
        {
            return Ok(source.without_mark(mark));
        }
        let converted = self.convert(&source.name, head, source.bytes());
        // A file that was cut short meanwhile is no damaged one.
        source.whole()?;
        converted
    }

    fn stream(&mut self, name: &str, stream: impl Read) -> Result<Source> {
        let mut stream = Named { name, stream };
        let head = peek(&mut stream).map_err(|error| plain(error, name))?;
        self.convert(name, &head, Cursor::new(&head).chain(stream))
    }

    /// Decompresses and decodes `bytes`, which begin with `head`, as far as they need it.
    fn convert(&mut self, name: &str, head: &[u8], bytes: impl Read) -> Result<Source> {
        let Self { how, spool, limits, .. } = self;
        let mut sink = spool.sink(name);
        let compression = how.compression(head);
        let encoding = match compression {
            None => copy(how, head, bytes, &mut sink, name),
            Some(compression) => {
                let mut unpacked = Unpacked::new(bytes, name, compression, *limits)?;
                peek(&mut unpacked)
                    .and_then(|head| copy(how, &head, Cursor::new(&head).chain(unpacked), &mut sink, name))
            }
        };
        let encoding = encoding.map_err(|error| plain(error, name))?;
        let origin = Origin { compression: compression.map(|compression| compression.name()), encoding };
        Ok(Source::kept(name, sink.finish(), origin))
    }
}

/// The text of one file, or of standard input, without a byte-order mark. It is held in memory, and so has a limit.
pub(super) fn read_to_string(path: &Path, how: How) -> Result<String> {
    let invalid = how.invalid;
    let mut intake = Intake { spool: Spool::without_file(AT_ONCE), ..Intake::new(how, 0) };
    let source = intake.open(path, true)?;
    match source.bytes().len() {
        length if length > AT_ONCE => Err(too_large(&source.name, AT_ONCE)),
        _ => {
            let text = scan::to_string(&source, invalid);
            // A file that was cut short meanwhile is no text with mistakes.
            source.whole().and(text)
        }
    }
}

/// Copies text that is not compressed, decoded where it needs that; returns the name of the encoding then.
fn copy(
    how: &How,
    head: &[u8],
    mut bytes: impl Read,
    sink: &mut Sink<'_>,
    name: &str,
) -> io::Result<Option<String>> {
    match how.form(head) {
        Form::Plain { mark } => {
            bytes.read_exact(&mut [0; 3][..mark])?;
            io::copy(&mut bytes, sink).map(|_| None)
        }
        Form::Encoded { name: encoding } => decode::copy(bytes, sink, &encoding, how.invalid, name).map(Some),
        Form::Foreign { found, advice } => Err(io::Error::other(Error::NotPlainText {
            text: name.to_owned(),
            found: found.to_owned(),
            advice: advice.to_owned(),
        })),
    }
}

/// The first bytes of a stream, as many as decide what it is.
fn peek(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    stream.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The error within an `io::Error`, or the one that it is.
fn plain(error: io::Error, name: &str) -> Error {
    error.downcast().unwrap_or_else(|source| Error::Io { action: "read", path: name.into(), source })
}

/// A stream whose errors name it, so that they are not taken for damage of what it holds.
struct Named<'a, R> {
    name: &'a str,
    stream: R,
}

impl<R: Read> Read for Named<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.read(bytes).map_err(|source| match source.kind() {
            io::ErrorKind::Interrupted => source,
            _ => io::Error::other(Error::Io { action: "read", path: self.name.into(), source }),
        })
    }
}
