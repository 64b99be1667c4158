//! The software model of the tiles of AMX. It is slow and for tests: on any processor with AVX2 it
//! gives the bits that AMX gives.

use super::by_tiles::TileOperation;
use super::tile_places::{EDGE, TilePlaces};
use crate::reference::add_tile_group;

/// The operation of the model.
#[derive(Clone, Copy)]
pub(crate) struct TileModel;

impl TileOperation for TileModel {
    #[inline(never)]
    unsafe fn multiply(self, rows: usize, width: usize, places: TilePlaces) {
        for (row, vector) in (0..rows).flat_map(|row| (0..width).map(move |vector| (row, vector))) {
            let places = places.rows_from(row).vectors_from(vector);
            // SAFETY: the caller vouches for the rows, and for the vectors of each.
            let sums = unsafe { &mut *places.sums.cast::<[f32; EDGE]>() };
            for group in 0..places.groups {
                // SAFETY: as above. A group has 16 words of k.
                let words =
                    unsafe { places.x.add(group * places.x_group).cast::<[u32; EDGE]>().read_unaligned() };
                let weights = |k: usize| {
                    let row = places.weights.wrapping_byte_add((group * EDGE + k) * places.weight_row_bytes);
                    // SAFETY: as above.
                    unsafe { row.cast::<[u32; EDGE]>().read_unaligned() }
                };
                let weights: [[u32; EDGE]; EDGE] = core::array::from_fn(weights);
                for (lane, sum) in sums.iter_mut().enumerate() {
                    let pairs: [(u32, u32); EDGE] = core::array::from_fn(|k| (words[k], weights[k][lane]));
                    *sum = add_tile_group(*sum, &pairs);
                }
            }
        }
    }
}
