//! Parameters: one flat arena, and one table of (name, shape, range).

use std::ops::Range;

/// One named tensor within the arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// PyTorch's name with its module's: `rnn.weight_hh_l0`.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// Where it lies.
    pub range: Range<usize>,
}

/// The table of an arena. Gradients and optimiser moments are arenas with the same table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    entries: Vec<Entry>,
    len: usize,
}

impl Layout {
    /// Appends a tensor; the next one starts on a multiple of 16 floats.
    pub fn push(&mut self, name: impl Into<String>, shape: &[usize]) {
        let count: usize = shape.iter().product();
        let range = self.len..self.len + count;
        self.len += count.next_multiple_of(16);
        self.entries.push(Entry { name: name.into(), shape: shape.to_vec(), range });
    }
    /// All tensors in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
    /// The tensor of that name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
    /// Floats in the arena, gaps between tensors included (they stay zero).
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// Trained numbers, gaps left out.
    pub fn count(&self) -> usize {
        self.entries.iter().map(|entry| entry.range.len()).sum()
    }
}

/// Named tensors in one flat arena.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// Names, shapes, places.
    pub layout: Layout,
    /// The arena, `layout.len()` floats.
    pub values: Vec<f32>,
}

impl Parameters {
    /// All zero.
    pub fn zeros(layout: Layout) -> Self {
        let values = vec![0.0; layout.len()];
        Self { layout, values }
    }
    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.layout.find(name).map(|entry| &self.values[entry.range.clone()])
    }
    /// The tensor of that name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut [f32]> {
        let range = self.layout.find(name)?.range.clone();
        Some(&mut self.values[range])
    }
    /// The first tensor with a number that is not finite.
    pub(crate) fn not_finite(&self) -> Option<&Entry> {
        self.iter().find(|(_, values)| !values.iter().all(|value| value.is_finite())).map(|(entry, _)| entry)
    }
    /// All tensors with their names and shapes.
    pub fn iter(&self) -> impl Iterator<Item = (&Entry, &[f32])> {
        self.layout.entries().iter().map(|entry| (entry, &self.values[entry.range.clone()]))
    }
}
