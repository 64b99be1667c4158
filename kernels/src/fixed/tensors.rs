//! PyTorch's tensors of a cell, and their packing into the layout of a cell's weights.

use super::equations::{BiasVector, CellEquations};
use super::error::{Error, check};
use super::spans;
use crate::denormals::flush;

/// The sizes of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellSizes {
    /// Input width I.
    pub input: usize,
    /// Hidden width H.
    pub hidden: usize,
}

/// PyTorch's tensors of a cell, row-major.
#[derive(Clone, Copy, Debug)]
pub struct CellTensors<'a> {
    /// [G * H, I]
    pub weight_ih: &'a [f32],
    /// [G * H, H]
    pub weight_hh: &'a [f32],
    /// [G * H]
    pub bias_ih: &'a [f32],
    /// [G * H]
    pub bias_hh: &'a [f32],
}

/// A cell that is made from PyTorch's tensors: a [`FixedCell`](super::FixedCell) by value or in a
/// box.
pub trait FromTensors: Sized {
    /// Number of gates (G).
    const GATES: usize;
    /// Input width I and hidden width H.
    const SIZES: CellSizes;

    /// Makes a cell with zero state.
    ///
    /// # Errors
    /// If a length is wrong, or `UNROLLED_ISA` names an instruction set that this processor lacks.
    fn from_tensors(tensors: CellTensors<'_>) -> Result<Self, Error>;
}

impl CellTensors<'_> {
    /// Checks the lengths for a cell of G gates.
    pub(super) fn check(&self, gates: usize, sizes: CellSizes) -> Result<(), Error> {
        let rows = gates.saturating_mul(sizes.hidden);
        check("weight_ih", self.weight_ih.len(), rows.saturating_mul(sizes.input))?;
        check("weight_hh", self.weight_hh.len(), rows.saturating_mul(sizes.hidden))?;
        check("bias_ih", self.bias_ih.len(), rows)?;
        check("bias_hh", self.bias_hh.len(), rows)
    }

    /// Writes `weight_hh`, `weight_ih` and the biases into `packed`, which has the right length.
    pub(super) fn pack<K: CellEquations>(&self, CellSizes { input, hidden }: CellSizes, packed: &mut [f32]) {
        let mut to = packed.iter_mut();
        let mut put = |value| {
            if let Some(place) = to.next() {
                *place = value;
            }
        };
        for (weight, depth) in [(self.weight_hh, hidden), (self.weight_ih, input)] {
            K::GROUPS.iter().for_each(|gates| pack_group(weight, (hidden, depth), gates, &mut put));
        }
        flush(|| {
            for &(gate, vector) in K::BIAS_OF {
                (gate * hidden..(gate + 1) * hidden).for_each(|row| put(self.bias(vector, row)));
            }
        });
    }

    fn bias(&self, vector: BiasVector, row: usize) -> f32 {
        match vector {
            BiasVector::Sum => self.bias_ih[row] + self.bias_hh[row],
            BiasVector::Input => self.bias_ih[row],
            BiasVector::Hidden => self.bias_hh[row],
        }
    }
}

/// Puts some gates of `weight` [G * H, depth] as [tile][k][gate][unit].
fn pack_group(weight: &[f32], (hidden, depth): (usize, usize), gates: &[usize], put: &mut impl FnMut(f32)) {
    let size = spans::tile(gates.len(), hidden);
    for tile in (0..hidden).step_by(size) {
        for k in 0..depth {
            for gate in gates {
                for unit in tile..hidden.min(tile + size) {
                    put(weight[(gate * hidden + unit) * depth + k]);
                }
            }
        }
    }
}
