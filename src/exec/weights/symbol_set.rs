//! The distinct symbols of a window, in ascending order, as a set of bits.
//!
//! It takes one pass over the tokens and one over V / 64 words, so that one thread is fast enough.

/// Symbols in a word of bits.
const WORD: usize = u64::BITS as usize;

/// A set of symbols.
#[derive(Clone, Debug, Default)]
pub(crate) struct SymbolSet {
    /// [V / 64]: bit s % 64 of word s / 64 is set if symbol s is in the set.
    bits: Vec<u64>,
    /// [V / 64]: number of symbols of the set in the words before.
    before: Vec<u32>,
}

impl SymbolSet {
    /// Becomes the set of all symbols in `inputs`, each below `vocabulary`. Writes them to
    /// `symbols` in ascending order.
    pub(crate) fn collect(&mut self, vocabulary: usize, inputs: &[u32], symbols: &mut Vec<u32>) {
        let Self { bits, before } = self;
        bits.clear();
        bits.resize(vocabulary.div_ceil(WORD), 0);
        inputs.iter().for_each(|symbol| bits[*symbol as usize / WORD] |= 1 << (*symbol as usize % WORD));
        before.clear();
        symbols.clear();
        symbols.reserve_exact(inputs.len().min(vocabulary));
        for (first, word) in (0..).step_by(WORD).zip(bits) {
            before.push(symbols.len() as u32);
            let mut rest = *word;
            while rest != 0 {
                symbols.push(first + rest.trailing_zeros());
                rest &= rest - 1;
            }
        }
    }

    /// Returns the index of a symbol of the set among all its symbols, in ascending order.
    pub(crate) fn index(&self, symbol: u32) -> u32 {
        let (word, bit) = (symbol as usize / WORD, symbol as usize % WORD);
        let below = self.bits[word] & ((1 << bit) - 1);
        self.before[word] + below.count_ones()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_symbols_are_sorted_and_distinct_and_know_their_index() {
        let (mut set, mut symbols) = (SymbolSet::default(), Vec::new());
        for (vocabulary, factor, count) in
            [(1, 1, 3), (64, 63, 40), (65, 64, 1), (1000, 377, 300), (130, 7, 400)]
        {
            let inputs: Vec<u32> = (0..count).map(|i| (i * factor % vocabulary) as u32).collect();
            set.collect(vocabulary, &inputs, &mut symbols);
            let mut expected = inputs.clone();
            expected.sort_unstable();
            expected.dedup();
            assert_eq!(symbols, expected);
            for (index, symbol) in (0..).zip(&symbols) {
                assert_eq!(set.index(*symbol), index);
            }
        }
    }
}
