//! Parts of packed weights, which threads pack: some panels, or a part of one panel.

use super::panels::Panels;
use super::sizes::strides;
use crate::isa::Isa;
use core::ops::Range;

/// A part of packed weights: some panels, or some vectors or some values of k of one panel. Its
/// floats are side by side, so a deep panel is first divided into vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedPart {
    pub(super) panels: Range<usize>,
    /// The vectors of each panel, as far as it has them: all, unless the part is one panel.
    pub(super) vectors: Range<usize>,
    /// The values of k: all, unless the part is one panel.
    pub(super) values: Range<usize>,
    /// Number of values of k of the whole panels (K), in words.
    pub(super) depth: usize,
}

impl PackedPart {
    /// Returns all panels of a matrix with `depth` words of k ([`Isa::words`], [`Isa::slot_words`]).
    pub fn whole(panels: &Panels, depth: usize) -> Self {
        Self { panels: 0..panels.count(), vectors: 0..4, values: 0..depth, depth }
    }

    /// Returns its number of floats.
    pub fn floats(&self, panels: &Panels) -> usize {
        let before = |panel| panels.before(panel, self.depth);
        match self.panels.len() {
            1 => 16 * self.vectors_in(panels, self.panels.start).len() * self.values.len(),
            _ => before(self.panels.end) - before(self.panels.start),
        }
    }

    /// The vectors of a panel that belong to this part.
    pub(super) fn vectors_in(&self, panels: &Panels, panel: usize) -> Range<usize> {
        let width = panels.panels()[panel].width;
        self.vectors.start.min(width)..self.vectors.end.min(width)
    }

    /// Returns the two halves of this part, for the kernels of `isa`. If the part has one value of
    /// k of one panel, the second half is empty.
    pub fn halves(&self, panels: &Panels, isa: Isa) -> [Self; 2] {
        let cut = |range: &Range<usize>| {
            let middle = range.start + range.len().div_ceil(2);
            [range.start..middle, middle..range.end]
        };
        if self.panels.len() != 1 {
            return cut(&self.panels).map(|panels| Self { panels, ..self.clone() });
        }
        let vectors = self.vectors_in(panels, self.panels.start);
        let [_, beside] = strides(panels.panels()[self.panels.start].width, self.depth, isa.deep());
        match vectors.len() > 1 && beside > 16 {
            true => cut(&vectors).map(|vectors| Self { vectors, ..self.clone() }),
            false => cut(&self.values).map(|values| Self { values, ..self.clone() }),
        }
    }
}
