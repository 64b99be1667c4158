//! The places of the operands of a product by tiles.

/// Number of rows of a full tile, and of words in a row.
pub(crate) const EDGE: usize = 16;
/// The most rows of a product: two tiles.
pub(crate) const TILE_ROWS: usize = 2 * EDGE;

/// Where the operands of a product are.
#[derive(Clone, Copy, Debug)]
pub struct TilePlaces {
    /// Number of groups of 16 words of k. The last is filled with zeros, in x and in the panel.
    pub(crate) groups: usize,
    /// Rows of x.
    pub(crate) x: *const u32,
    /// Distance of two rows of x.
    pub(crate) x_row_bytes: usize,
    /// Words from one group of a row to the next.
    pub(crate) x_group: usize,
    /// A panel: 16 `groups` rows of vectors of 16 words, one row per word of k.
    pub(crate) weights: *const u32,
    /// Distance of two rows of the panel.
    pub(crate) weight_row_bytes: usize,
    /// Rows of vectors of 16 sums.
    pub(crate) sums: *mut f32,
    /// Distance of two rows of sums.
    pub(crate) sum_row_bytes: usize,
}

impl TilePlaces {
    /// Returns the places of the vectors from `vector` on.
    #[inline(always)]
    pub(crate) fn vectors_from(self, vector: usize) -> Self {
        let (weights, sums) =
            (self.weights.wrapping_add(vector * EDGE), self.sums.wrapping_add(vector * EDGE));
        Self { weights, sums, ..self }
    }

    /// Returns the places of the rows from `row` on.
    #[inline(always)]
    pub(crate) fn rows_from(self, row: usize) -> Self {
        let x = self.x.wrapping_byte_add(row * self.x_row_bytes);
        let sums = self.sums.wrapping_byte_add(row * self.sum_row_bytes);
        Self { x, sums, ..self }
    }
}
