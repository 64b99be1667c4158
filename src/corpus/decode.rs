//! Converts text in other encodings to UTF-8.

#[cfg(feature = "encodings")]
pub(super) use with::copy;
#[cfg(not(feature = "encodings"))]
pub(super) use without::copy;

#[cfg(not(feature = "encodings"))]
mod without {
    use crate::{Error, Invalid};
    use std::io::{self, Read, Write};

    pub fn copy(_: impl Read, _: impl Write, encoding: &str, _: Invalid, text: &str) -> io::Result<String> {
        let (text, found) = (text.to_owned(), format!("in the encoding {encoding}"));
        Err(io::Error::other(Error::Feature { text, found, feature: "encodings" }))
    }
}

#[cfg(feature = "encodings")]
mod with {
    use crate::{Error, Invalid};
    use encoding_rs::{Decoder, DecoderResult, Encoding};
    use std::io::{self, Read, Write};

    /// Number of bytes that are decoded at once.
    const CHUNK: usize = 64 << 10;

    /// Writes the text that `bytes` hold in `encoding` as UTF-8. Returns the name of the encoding,
    /// in lower case. A byte-order mark is not a part of the text, and it wins over `encoding`.
    ///
    /// # Errors
    /// [`Error::InvalidEncoding`] within an `io::Error` for bytes that are invalid in the encoding,
    /// unless `invalid` says to replace or skip them.
    pub fn copy(
        mut bytes: impl Read,
        out: impl Write,
        encoding: &str,
        invalid: Invalid,
        text: &str,
    ) -> io::Result<String> {
        let found = Encoding::for_label(encoding.as_bytes()).unwrap_or(encoding_rs::UTF_8);
        let mut copying = Copying {
            decoder: found.new_decoder(),
            out,
            room: vec![0; 3 * CHUNK + 16],
            invalid,
            text,
            offset: 0,
        };
        let mut chunk = vec![0; CHUNK];
        loop {
            match bytes.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => copying.add(&chunk[..count], false)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        copying.add(&[], true)?;
        Ok(copying.decoder.encoding().name().to_ascii_lowercase())
    }

    struct Copying<'a, W> {
        decoder: Decoder,
        out: W,
        room: Vec<u8>,
        invalid: Invalid,
        text: &'a str,
        /// Number of bytes decoded so far.
        offset: u64,
    }

    impl<W: Write> Copying<'_, W> {
        fn add(&mut self, mut bytes: &[u8], last: bool) -> io::Result<()> {
            loop {
                let (result, read, written) =
                    self.decoder.decode_to_utf8_without_replacement(bytes, &mut self.room, last);
                self.out.write_all(&self.room[..written])?;
                self.offset += read as u64;
                bytes = &bytes[read..];
                match result {
                    DecoderResult::InputEmpty => return Ok(()),
                    DecoderResult::OutputFull => {}
                    DecoderResult::Malformed(bad, after) => {
                        self.malformed(u64::from(bad) + u64::from(after))?
                    }
                }
            }
        }

        /// Handles invalid bytes that started `before` bytes ago.
        fn malformed(&mut self, before: u64) -> io::Result<()> {
            match self.invalid {
                Invalid::Skip => Ok(()),
                Invalid::Replace => self.out.write_all("\u{FFFD}".as_bytes()),
                Invalid::Error => Err(io::Error::other(Error::InvalidEncoding {
                    text: self.text.to_owned(),
                    encoding: self.decoder.encoding().name().to_owned(),
                    offset: self.offset.saturating_sub(before),
                })),
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn decoded(bytes: &[u8], encoding: &str, invalid: Invalid) -> Result<(String, String), String> {
            let mut out = Vec::new();
            let name =
                copy(bytes, &mut out, encoding, invalid, "a text").map_err(|error| error.to_string())?;
            Ok((String::from_utf8(out).unwrap(), name))
        }

        #[test]
        fn long_texts_become_utf8() {
            for (encoding, piece) in [
                ("utf-16le", "a\u{e9}\u{1F600}\u{65e5}"),
                ("shift_jis", "abc\u{65e5}\u{672c}\u{8a9e}"),
                ("gb18030", "\u{6c49}x\u{5b57}"),
                ("koi8-r", "\u{43f}\u{440}\u{438}vet "),
                ("windows-1252", "caf\u{e9} \u{201c}x\u{201d}"),
            ] {
                let text = piece.repeat(30_000);
                let bytes = match encoding {
                    "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                    _ => Encoding::for_label(encoding.as_bytes()).unwrap().encode(&text).0.into_owned(),
                };
                let (found, name) = decoded(&bytes, encoding, Invalid::Error).unwrap();
                assert!(found == text && name == encoding, "{encoding}");
            }
        }

        #[test]
        fn a_byte_order_mark_wins_and_is_not_a_part_of_the_text() {
            let marked = decoded(b"\xFF\xFEa\0", "utf-16be", Invalid::Error);
            assert_eq!(marked, Ok(("a".into(), "utf-16le".into())));
            let marked = decoded(b"\xEF\xBB\xBFa", "windows-1252", Invalid::Error);
            assert_eq!(marked, Ok(("a".into(), "utf-8".into())));
        }

        #[test]
        fn invalid_bytes_are_an_error_replaced_or_skipped() {
            let mut bytes = vec![b'a'; 100_001];
            bytes.extend(b"\x82\xffb\x81");
            let read =
                |invalid| decoded(&bytes, "shift_jis", invalid).map(|(text, _)| text[100_001..].to_owned());
            assert_eq!(read(Invalid::Replace), Ok("\u{FFFD}b\u{FFFD}".into()));
            assert_eq!(read(Invalid::Skip), Ok("b".into()));
            let message = read(Invalid::Error).unwrap_err();
            assert!(
                message.starts_with("a text: the bytes at offset 100001 are not Shift_JIS; "),
                "{message}"
            );
            let odd = decoded(b"a\0b", "utf-16le", Invalid::Error).unwrap_err();
            assert!(odd.starts_with("a text: the bytes at offset 2 are not UTF-16LE"), "{odd}");
        }
    }
}
