//! NUL bytes in a text: a sign that a file is not text.

use super::source::CorpusSource;
use crate::{Error, Result};

/// The advice for a NUL byte in a text.
pub(super) const NUL_ADVICE: &str = "name a text, pass --unit byte to read bytes as they are, --unit ids for the \
     ids of a tokenizer, or --encoding utf-8 if the NULs belong to the text";

/// Refuses a NUL after the first bytes of a source, which were checked before.
pub(super) fn refuse(sources: &[CorpusSource]) -> Result<()> {
    for source in sources {
        if let Some(at) = memchr::memchr(0, source.bytes()) {
            let found = format!("binary (it has a NUL byte at offset {})", at + source.mark);
            let (text, advice) = (source.name.clone(), NUL_ADVICE.to_owned());
            return Err(Error::NotPlainText { text, found, advice });
        }
    }
    Ok(())
}
