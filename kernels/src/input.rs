//! The input of a layer: the start of its sums, and dense vectors that are multiplied.

use crate::isa::Isa;
use crate::pack::{Slots, product};
use crate::window::WindowShape;

/// The start of a layer's pre-activations, and its dense input.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The summed bias, one row of stored width; or a table [D, stored] with the bias plus the
    /// input product for each symbol.
    pub start: &'a [f32],
    /// `[N]`: the row of `start` for each token. `None` for row 0 of all.
    pub ids: Option<&'a [u32]>,
    /// An input that is multiplied in the tile, before the hidden state.
    pub dense: Option<DenseInput<'a>>,
}

/// Dense input vectors, and the weights that multiply them.
#[derive(Clone, Copy, Debug)]
pub struct DenseInput<'a> {
    /// [N, stride]
    pub values: &'a [f32],
    /// Floats from one row to the next.
    pub stride: usize,
    /// Input width E <= stride.
    pub width: usize,
    /// Weights, packed for the running backend over the words of E values, in the panels that the
    /// cell needs.
    pub weights: &'a [f32],
    /// A second set of packed weights, for cells that compute in two phases.
    pub second: &'a [f32],
}

impl Input<'_> {
    /// Checks ids and lengths once, so that the tiles need not. `slots` describe a row of `start`.
    /// `packed` and `second` are the outputs that the two sets of dense weights feed, including
    /// padding.
    pub(crate) fn check(
        &self,
        isa: Isa,
        window: &WindowShape<'_>,
        slots: &Slots,
        packed: usize,
        second: usize,
    ) {
        window.check_sizes();
        let (tokens, width) = (window.tokens(), slots.width());
        match self.ids {
            None => {
                assert!(
                    self.start.len() >= width,
                    "the bias has length {}, expected {width}",
                    self.start.len()
                )
            }
            Some(ids) => {
                let table = self.start.len() / width;
                assert!(
                    ids.len() == tokens,
                    "ids has length {}, expected {tokens} for {window:?}",
                    ids.len()
                );
                assert!(
                    ids.iter().all(|&id| (id as usize) < table),
                    "an id is not below {table}, the rows of the table"
                );
            }
        }
        if let Some(dense) = self.dense {
            let needed = product([tokens, dense.stride]);
            assert!(
                dense.width <= dense.stride && dense.values.len() >= needed,
                "the dense input has length {} in rows of {}, expected {tokens} rows of at least {}",
                dense.values.len(),
                dense.stride,
                dense.width
            );
            let words = isa.words(dense.width);
            window.check("dense weights", dense.weights.len(), product([packed, words]));
            if second > 0 {
                window.check("second dense weights", dense.second.len(), product([second, words]));
            }
        }
    }
}
