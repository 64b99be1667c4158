//! The probable encoding of text that is not UTF-8, for the advice of an error.

/// Returns the encoding that the text seems to have, if it is not mostly UTF-8.
#[cfg(feature = "encodings")]
pub(super) fn encoding(bytes: &[u8]) -> Option<&'static str> {
    let (mut good, mut bad) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    let control = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    if bad <= good || bytes.iter().any(control) {
        return None;
    }
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    let guess = detector.guess(None, chardetng::Utf8Detection::Deny);
    Some(guess.name())
}

#[cfg(not(feature = "encodings"))]
pub(super) fn encoding(_: &[u8]) -> Option<&'static str> {
    None
}

#[cfg(all(test, feature = "encodings"))]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_guessed_for_text_that_is_mostly_not_utf8() {
        assert_eq!(encoding(b"caf\xe9 and more of it"), Some("windows-1252"));
        let russian =
            encoding_rs::KOI8_R.encode("\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}, \u{43c}\u{438}\u{440}").0;
        assert_eq!(encoding(&russian), Some("KOI8-U"));
        assert_eq!(encoding("caf\u{e9} na\u{ef}ve \u{2014} ".as_bytes()), None);
        assert_eq!(encoding(b"caf\xc3\xa9 na\xc3\xafve \xff"), None);
        assert_eq!(encoding(b"text and \x01\x02 binary \xe9\xff"), None);
    }
}
