//! From PyTorch's tensors to the layout of a cell's weights.

use super::body::{self, Biases, Kind};
use super::{Error, check};

/// The sizes of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Input width I.
    pub input: usize,
    /// Hidden width H.
    pub hidden: usize,
}

/// PyTorch's tensors of a cell, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// [G * H, I]
    pub weight_ih: &'a [f32],
    /// [G * H, H]
    pub weight_hh: &'a [f32],
    /// [G * H]
    pub bias_ih: &'a [f32],
    /// [G * H]
    pub bias_hh: &'a [f32],
}

impl Weights<'_> {
    /// Checks the lengths for a cell of G gates.
    pub(super) fn check(&self, gates: usize, sizes: Sizes) -> Result<(), Error> {
        let rows = gates.saturating_mul(sizes.hidden);
        check("weight_ih", self.weight_ih.len(), rows.saturating_mul(sizes.input))?;
        check("weight_hh", self.weight_hh.len(), rows.saturating_mul(sizes.hidden))?;
        check("bias_ih", self.bias_ih.len(), rows)?;
        check("bias_hh", self.bias_hh.len(), rows)
    }

    /// Writes `weight_hh`, `weight_ih` and the biases into `packed`, whose length is right.
    pub(super) fn pack<K: Kind>(&self, Sizes { input, hidden }: Sizes, packed: &mut [f32]) {
        let mut to = packed.iter_mut();
        let mut put = |value| {
            if let Some(place) = to.next() {
                *place = value;
            }
        };
        for (weight, depth) in [(self.weight_hh, hidden), (self.weight_ih, input)] {
            K::GROUPS.iter().for_each(|gates| group(weight, (hidden, depth), gates, &mut put));
        }
        for &(gate, biases) in K::BIAS_OF {
            for row in gate * hidden..(gate + 1) * hidden {
                put(match biases {
                    Biases::Sum => self.bias_ih[row] + self.bias_hh[row],
                    Biases::Input => self.bias_ih[row],
                    Biases::Hidden => self.bias_hh[row],
                });
            }
        }
    }
}

/// Some gates of `weight` [G * H, depth] as [tile][k][gate][unit].
fn group(weight: &[f32], (hidden, depth): (usize, usize), gates: &[usize], put: &mut impl FnMut(f32)) {
    let size = body::tile(gates.len(), hidden);
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
