//! Recognizes a file by its first bytes: plain text, text in another encoding, compressed, or not
//! text.

use super::nul_bytes::NUL_ADVICE;
use crate::{Encoding, Invalid, Unit};

/// Number of first bytes that are inspected.
pub(super) const HEAD: usize = 8 << 10;

/// The rules that turn the bytes of files into text.
#[derive(Clone, Debug, Default)]
pub(super) struct FileRules {
    pub unit: Unit,
    pub invalid: Invalid,
    /// The encoding that the user named.
    pub encoding: Option<Encoding>,
    /// True if NUL bytes are a part of the text: its separator or its document marker has one.
    pub nul: bool,
    /// True if the bytes are used as stored: no byte-order mark, encoding or format is recognized.
    pub as_stored: bool,
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// UTF-8, bytes or ids, after a byte-order mark of `mark` bytes.
    Plain { mark: usize },
    /// Text in another encoding, with or without a byte-order mark.
    Encoded { name: String },
    /// Not text.
    Foreign { found: &'static str, advice: &'static str },
}

/// A format of compressed files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Compression {
    /// The format, by its magic bytes.
    pub fn of(head: &[u8]) -> Option<Self> {
        let bzip2 = |head: &[u8]| {
            let block = head.get(4..10);
            head.starts_with(b"BZh") && (block == Some(b"1AY&SY") || block == Some(b"\x17rE8P\x90"))
        };
        match head {
            [0x1F, 0x8B, 8, ..] => Some(Self::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Some(Self::Zstd),
            [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            head if bzip2(head) => Some(Self::Bzip2),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }
}

impl FileRules {
    /// Returns whether NULs are characters of the text.
    pub fn allows_nul(&self) -> bool {
        let named = self.encoding.as_ref().is_some_and(|name| name.is_utf8() || name.is_utf16());
        named || self.nul || self.as_stored
    }

    /// The compression of a file that starts with these bytes.
    pub fn compression(&self, head: &[u8]) -> Option<Compression> {
        Compression::of(head).filter(|_| !self.is_verbatim())
    }

    /// Returns whether every byte is data: also those that look like a format of their own.
    fn is_verbatim(&self) -> bool {
        self.as_stored || self.unit == Unit::Ids
    }

    /// The content of a file whose (decompressed) bytes start with `head`.
    pub fn form(&self, head: &[u8]) -> Form {
        if self.is_verbatim() || self.unit == Unit::Byte {
            return Form::Plain { mark: 0 };
        }
        if Compression::of(head).is_some() {
            let advice = "decompress it first";
            return Form::Foreign { found: "compressed more than once", advice };
        }
        marked(head).or_else(|| foreign(head)).unwrap_or_else(|| self.unmarked(head))
    }

    fn unmarked(&self, head: &[u8]) -> Form {
        let sure = self.encoding.as_ref().is_some_and(Encoding::is_utf8);
        if !self.allows_nul()
            && let Some(form) = with_nul(head)
        {
            return form;
        }
        if let Some(encoding) = self.encoding.as_ref().filter(|name| name.is_utf16())
            && let Some(form) = swapped(head, encoding.name())
        {
            return form;
        }
        match &self.encoding {
            Some(encoding) if !sure => Form::Encoded { name: encoding.name().to_owned() },
            _ => Form::Plain { mark: 0 },
        }
    }

    /// Returns whether a file in a folder is a part of the corpus. `included` is true if patterns
    /// say which files to include; only then are compressed files and files of ids a part of it.
    #[cfg(feature = "folders")]
    pub fn takes(&self, head: &[u8], included: bool) -> bool {
        let nul = head.contains(&0);
        match self.form(head) {
            _ if self.unit == Unit::Ids => included,
            _ if self.as_stored => !nul,
            _ if self.compression(head).is_some() => included,
            Form::Foreign { .. } => false,
            Form::Plain { .. } => !nul || self.unit == Unit::Char,
            // A build without encodings skips such files, unless the user names an encoding.
            Form::Encoded { .. } => cfg!(feature = "encodings") || self.encoding.is_some(),
        }
    }
}

/// The form that a byte-order mark names.
fn marked(head: &[u8]) -> Option<Form> {
    let utf16 = |name: &str| Some(Form::Encoded { name: name.to_owned() });
    match head {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => Some(UTF_32),
        [0xEF, 0xBB, 0xBF, ..] => Some(Form::Plain { mark: 3 }),
        [0xFF, 0xFE, ..] => utf16("utf-16le"),
        [0xFE, 0xFF, ..] => utf16("utf-16be"),
        _ => None,
    }
}

const UTF_32: Form = Form::Foreign { found: "UTF-32", advice: "convert it first: iconv -f UTF-32 -t UTF-8" };

/// UTF-32 by its NULs, which small ids of 32 bits have too.
const UTF_32_OR_IDS: Form = Form::Foreign {
    found: "UTF-32",
    advice: "convert it first: iconv -f UTF-32 -t UTF-8; for token ids pass --unit ids --id-width 32",
};

const CONVERT: &str = "extract its text first, or pass --unit byte to read bytes as they are";
const UNPACK: &str = "unpack it first, and name the files or the folder";

/// First bytes, the kind of file that has them, and what to do.
const SIGNATURES: &[(&[u8], &str, &str)] = &[
    (
        b"PK\x03\x04",
        "a zip archive (also .docx, .xlsx, .odt, .epub)",
        "extract the text first, and name that",
    ),
    (b"PK\x05\x06", "an empty zip archive", UNPACK),
    (b"7z\xBC\xAF\x27\x1C", "a 7z archive", UNPACK),
    (b"Rar!\x1A\x07", "a RAR archive", UNPACK),
    (b"\x04\x22\x4D\x18", "compressed with lz4", "decompress it first: lz4 -d"),
    (b"\x1F\x9D", "compressed with compress (.Z)", "decompress it first: gzip -d"),
    (b"\x5D\0\0", "compressed with lzma", "decompress it first: xz -d"),
    (b"\x89PNG", "a PNG image", CONVERT),
    (b"\xFF\xD8\xFF", "a JPEG image", CONVERT),
    (b"GIF8", "a GIF image", CONVERT),
    (b"RIFF", "a sound, video or image (RIFF)", CONVERT),
    (b"OggS", "a sound or video (Ogg)", CONVERT),
    (b"ID3", "a sound (MP3)", CONVERT),
    (b"fLaC", "a sound (FLAC)", CONVERT),
    (b"\x7FELF", "a program (ELF)", CONVERT),
    (b"MZ", "a program (Windows)", CONVERT),
    (b"\xCF\xFA\xED\xFE", "a program (macOS)", CONVERT),
    (b"SQLite format 3\0", "an SQLite database", "export its text first"),
    (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an old Office document", "save it as plain text first"),
    (b"PAR1", "a Parquet file", "export its text first"),
    (b"ARROW1", "an Arrow file", "export its text first"),
    (b"\x89HDF", "an HDF5 file", "export its text first"),
    (b"\x93NUMPY", "a NumPy array", "name the text that it was made from"),
];

/// Known formats that are not text. Valid UTF-8 without a NUL stays text, even if it starts with
/// the letters of a signature.
fn foreign(head: &[u8]) -> Option<Form> {
    if head.starts_with(b"%PDF-1.") || head.starts_with(b"%PDF-2.") {
        let advice = "extract its text first: pdftotext";
        return Some(Form::Foreign { found: "a PDF document", advice });
    }
    if is_plain(head) {
        return None;
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(Form::Foreign { found: "a tar archive", advice: UNPACK });
    }
    let known = SIGNATURES.iter().find(|(signature, ..)| head.starts_with(signature));
    known.map(|&(_, found, advice)| Form::Foreign { found, advice })
}

/// Returns whether these first bytes are UTF-8 without a NUL. A character may be cut off at their
/// end.
fn is_plain(head: &[u8]) -> bool {
    let valid = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    valid && !head.contains(&0)
}

const WIDE: &str = "UTF-16 without a byte-order mark";

/// The form of a file with NULs: text with two or four bytes per character, or binary.
fn with_nul(head: &[u8]) -> Option<Form> {
    if !head.contains(&0) {
        return None;
    }
    let mut nul = [0_usize; 4];
    (0..).zip(head).filter(|(_, byte)| **byte == 0).for_each(|(at, _): (usize, _)| nul[at % 4] += 1);
    let quarter = head.len() / 4;
    let all = |count: usize| quarter > 0 && count * 10 >= quarter * 9;
    let (even, odd) = (nul[0] + nul[2], nul[1] + nul[3]);
    Some(match nul {
        [_, b, c, d] if all(c) && all(d) && !all(nul[0]) && b * 2 > quarter => UTF_32_OR_IDS,
        [a, b, c, _] if all(a) && all(b) && !all(nul[3]) && c * 2 > quarter => UTF_32,
        _ if is_utf16(head, odd, even, u16::from_le_bytes) => {
            // Ids of 16 bits look the same: those below 256 have a NUL in their high byte.
            Form::Foreign { found: WIDE, advice: "pass --encoding utf-16le, or --unit ids for token ids" }
        }
        _ if is_utf16(head, even, odd, u16::from_be_bytes) => {
            Form::Foreign { found: WIDE, advice: "pass --encoding utf-16be" }
        }
        _ => Form::Foreign { found: "binary (it has NUL bytes)", advice: NUL_ADVICE },
    })
}

/// The form of UTF-16 in the other byte order than `name` says.
fn swapped(head: &[u8], name: &str) -> Option<Form> {
    let other = |form: &Form| matches!(form, Form::Foreign { found: WIDE, advice } if !advice.contains(name));
    with_nul(head).filter(other)
}

/// Returns whether the bytes are probably UTF-16: NULs in the high bytes and hardly any in the low
/// bytes. A few NULs suffice if the bytes are not UTF-8.
fn is_utf16(head: &[u8], high: usize, low: usize, unit: fn([u8; 2]) -> u16) -> bool {
    let units = || head.as_chunks().0.iter().map(|&pair| unit(pair));
    let decodes = || char::decode_utf16(units().take(head.len() / 2 - 1)).all(|c| c.is_ok());
    // Every space and line end has one, in every script.
    let many = high >= 2 && high * 20 >= head.len() || (high > 0 && std::str::from_utf8(head).is_err());
    head.len() >= 4 && low * 8 <= high && many && decodes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(bytes: &[u8]) -> Form {
        FileRules::default().form(bytes)
    }

    fn refused(bytes: &[u8]) -> (&'static str, &'static str) {
        match form(bytes) {
            Form::Foreign { found, advice } => (found, advice),
            other => panic!("{other:?}"),
        }
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn marks_name_the_encoding() {
        assert_eq!(form(b"\xEF\xBB\xBFabc"), Form::Plain { mark: 3 });
        assert_eq!(form(b"\xFF\xFEa\0b\0"), Form::Encoded { name: "utf-16le".into() });
        assert_eq!(form(b"\xFE\xFF\0a\0b"), Form::Encoded { name: "utf-16be".into() });
        assert_eq!(refused(b"\xFF\xFE\0\0a\0\0\0").0, "UTF-32");
        assert_eq!(refused(b"\0\0\xFE\xFF\0\0\0a").0, "UTF-32");
    }

    #[test]
    fn wide_text_without_a_mark_is_recognized_by_its_nuls() {
        let cyrillic = "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}, \u{43c}\u{438}\u{440}\n";
        for text in [
            cyrillic,
            "Some English text, and more.\n",
            "ab",
            "\u{65e5}\u{672c}\u{8a9e}\u{3002}\n\u{6587}\u{5b57}\n",
        ] {
            let advice = refused(&utf16(text, u16::to_le_bytes)).1;
            assert_eq!(advice, "pass --encoding utf-16le, or --unit ids for token ids", "{text}");
            assert_eq!(refused(&utf16(text, u16::to_be_bytes)).1, "pass --encoding utf-16be", "{text}");
        }
        let wide = |bytes: fn(u32) -> [u8; 4]| -> Vec<u8> {
            "Some English text.".chars().flat_map(|c| bytes(c.into())).collect()
        };
        assert_eq!(refused(&wide(u32::to_le_bytes)).0, "UTF-32");
        assert_eq!(refused(&wide(u32::to_be_bytes)).0, "UTF-32");
    }

    #[test]
    fn known_formats_are_named() {
        let packed = |bytes: &[u8]| FileRules::default().compression(bytes);
        assert_eq!(packed(b"\x1F\x8B\x08\0rest"), Some(Compression::Gzip));
        assert_eq!(packed(b"BZh91AY&SYrest"), Some(Compression::Bzip2));
        assert_eq!(packed(b"\xFD7zXZ\0rest"), Some(Compression::Xz));
        assert_eq!(packed(b"\x28\xB5\x2F\xFDrest"), Some(Compression::Zstd));
        assert_eq!(packed(b"BZh9 is how bzip2 begins"), None);
        assert_eq!(refused(b"%PDF-1.7\nall of it letters").0, "a PDF document");
        assert_eq!(refused(b"PK\x03\x04\x14\0\x06\0").0, "a zip archive (also .docx, .xlsx, .odt, .epub)");
        assert_eq!(refused(b"\x89PNG\r\n\x1a\n\0\0").0, "a PNG image");
        assert_eq!(refused(b"SQLite format 3\0\x10").0, "an SQLite database");
        assert_eq!(refused(b"\0\x01\x02 no known format").0, "binary (it has NUL bytes)");
        let mut tar = vec![b'x'; 600];
        tar[100] = 0;
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(refused(&tar).0, "a tar archive");
    }

    #[test]
    fn text_that_starts_like_a_signature_stays_text() {
        for text in
            ["MZ is a country code", "GIF8 and GIF9", "ID3 tags", "RIFF", "BZh9 is how bzip2 begins", "%PDF"]
        {
            assert_eq!(form(text.as_bytes()), Form::Plain { mark: 0 }, "{text}");
        }
        // A character that is cut off at the end of the head.
        assert_eq!(form(&"MZ \u{20ac}".as_bytes()[..5]), Form::Plain { mark: 0 });
        let one = refused(b"a text of some length with one stray \0 in the middle of it, which is no UTF-16");
        assert_eq!(one.0, "binary (it has NUL bytes)");
    }

    #[test]
    fn bytes_are_never_decoded_and_a_named_encoding_wins() {
        let bytes = FileRules { unit: Unit::Byte, ..FileRules::default() };
        for head in [&b"\xEF\xBB\xBFabc"[..], b"a\0b\0", b"%PDF-1.4"] {
            assert_eq!(bytes.form(head), Form::Plain { mark: 0 });
        }
        assert_eq!(bytes.compression(b"\x1F\x8B\x08\0"), Some(Compression::Gzip));
        let ids = FileRules { unit: Unit::Ids, ..FileRules::default() };
        for head in [&b"\x1F\x8B\x08\0"[..], b"\xEF\xBB\xBF\0", b"%PDF-1.4", b"\0\0\0\0"] {
            assert_eq!((ids.compression(head), ids.form(head)), (None, Form::Plain { mark: 0 }));
        }
        let named =
            |name: &str| FileRules { encoding: Some(Encoding::new(name).unwrap()), ..FileRules::default() };
        assert_eq!(named("utf-8").form(b"a\0b"), Form::Plain { mark: 0 });
        assert_eq!(named("utf-16le").form(b"a\0b\0"), Form::Encoded { name: "utf-16le".into() });
        let english = utf16("Some English text.\n", u16::to_be_bytes);
        let form = named("utf-16le").form(&english);
        assert!(matches!(form, Form::Foreign { advice: "pass --encoding utf-16be", .. }), "{form:?}");
        assert!(matches!(named("utf-16be").form(&english), Form::Encoded { .. }));
        assert!(matches!(named("windows-1252").form(b"a\0b\0c\0"), Form::Foreign { .. }));
        assert_eq!(FileRules { nul: true, ..FileRules::default() }.form(b"a\0b"), Form::Plain { mark: 0 });
    }
}
