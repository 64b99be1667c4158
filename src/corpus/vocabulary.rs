//! Symbols and their ids.

mod json;
mod list;
mod numbered;
mod sets;
mod text;

use super::{pages::Pages, seen_symbols::SeenSymbols, unknown_id::UNKNOWN};
use crate::Unit;

/// The symbols that a model knows, and their ids.
///
/// The distinct characters or bytes of a corpus are sorted by code point or value; the id of a
/// symbol is its index. With [`Unit::Ids`] the symbols are the ids of a tokenizer, from 0 to V - 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary(SymbolTable);

#[derive(Clone, Debug, PartialEq, Eq)]
enum SymbolTable {
    /// Characters or bytes.
    Listed {
        unit: Unit,
        /// [V]: code points or bytes, ascending.
        symbols: Vec<u32>,
        /// The id of each symbol.
        ids: Pages<u32>,
    },
    /// The ids from 0 to V - 1.
    Ids { count: u32 },
}

impl Vocabulary {
    /// Creates a vocabulary from code points or bytes in ascending order.
    pub(super) fn from_sorted(unit: Unit, symbols: Vec<u32>) -> Self {
        debug_assert!(symbols.is_sorted_by(|a, b| a < b));
        let mut ids = Pages::new(UNKNOWN);
        (0..).zip(&symbols).for_each(|(id, &symbol)| ids.set(symbol, id));
        Self(SymbolTable::Listed { unit, symbols, ids })
    }

    /// The table from symbol to id, or `None` if the symbols are ids themselves.
    #[inline]
    pub(super) fn table(&self) -> Option<&Pages<u32>> {
        match &self.0 {
            SymbolTable::Listed { ids, .. } => Some(ids),
            SymbolTable::Ids { .. } => None,
        }
    }

    /// The symbols in id order.
    fn symbols(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match &self.0 {
            SymbolTable::Listed { symbols, .. } => Box::new(symbols.iter().copied()),
            SymbolTable::Ids { count } => Box::new(0..*count),
        }
    }

    /// The id of a symbol, or [`UNKNOWN`].
    #[inline]
    pub(super) fn id_of(&self, symbol: u32) -> u32 {
        match &self.0 {
            SymbolTable::Listed { ids, .. } => ids.get(symbol),
            SymbolTable::Ids { count } if symbol < *count => symbol,
            SymbolTable::Ids { .. } => UNKNOWN,
        }
    }

    /// Returns whether the vocabulary has all symbols that occur in a corpus of its unit.
    pub(super) fn has_all(&self, seen: &SeenSymbols) -> bool {
        match &self.0 {
            SymbolTable::Listed { ids, .. } => seen.listed.symbols().all(|symbol| ids.get(symbol) != UNKNOWN),
            SymbolTable::Ids { count } => seen.highest_id.is_none_or(|highest| highest < *count),
        }
    }

    /// Number of symbols (V).
    pub fn len(&self) -> usize {
        match &self.0 {
            SymbolTable::Listed { symbols, .. } => symbols.len(),
            SymbolTable::Ids { count } => *count as usize,
        }
    }

    /// Returns whether there is no symbol.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The kind of symbol.
    pub fn unit(&self) -> Unit {
        match &self.0 {
            SymbolTable::Listed { unit, .. } => *unit,
            SymbolTable::Ids { .. } => Unit::Ids,
        }
    }

    /// A readable form of a symbol.
    fn named(&self, symbol: u32) -> String {
        match self.unit() {
            Unit::Char => format!("{:?} (U+{symbol:04X})", character(symbol)),
            Unit::Byte => format!("byte 0x{symbol:02X}"),
            Unit::Ids => format!("id {symbol}"),
        }
    }
}

/// A symbol of the unit `Char`, which is always a valid `char`.
fn character(symbol: u32) -> char {
    char::from_u32(symbol).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The only character of a text that has exactly one.
fn only_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.as_str().is_empty())
}
