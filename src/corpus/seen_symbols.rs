//! The symbols that occur in a corpus, or in a part of it.

use super::pages::Pages;

/// The symbols that occur: a table over code points and bytes, and the highest of the ids.
pub(super) struct SeenSymbols {
    /// True for the characters or bytes that occur.
    pub listed: Pages<bool>,
    /// The highest id that occurs.
    pub highest_id: Option<u32>,
}

impl SeenSymbols {
    pub fn none() -> Self {
        Self { listed: Pages::new(false), highest_id: None }
    }

    /// Adds the symbols of another part of the corpus.
    pub fn add(&mut self, other: &Self) {
        other.listed.symbols().for_each(|symbol| self.listed.set(symbol, true));
        self.highest_id = self.highest_id.max(other.highest_id);
    }
}
