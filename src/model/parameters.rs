//! Parameters: one flat buffer, and a table of names, shapes and ranges.

use std::ops::Range;

/// One named tensor of the flat parameter buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorEntry {
    /// The name of PyTorch, with the name of the module in front: `rnn.weight_hh_l0`.
    pub name: String,
    /// The shape, row-major.
    pub shape: Vec<usize>,
    /// The range of its values in the buffer.
    pub range: Range<usize>,
}

/// The tensors of a flat parameter buffer. Gradients and optimizer moments have the same layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterLayout {
    entries: Vec<TensorEntry>,
    len: usize,
}

impl ParameterLayout {
    /// Appends a tensor. The next one starts at a multiple of 16 floats.
    pub fn push(&mut self, name: impl Into<String>, shape: &[usize]) {
        let count: usize = shape.iter().product();
        let range = self.len..self.len + count;
        self.len += count.next_multiple_of(16);
        self.entries.push(TensorEntry { name: name.into(), shape: shape.to_vec(), range });
    }

    /// Returns all tensors in order.
    pub fn entries(&self) -> &[TensorEntry] {
        &self.entries
    }

    /// Returns the tensor with a name.
    pub fn find(&self, name: &str) -> Option<&TensorEntry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Returns the number of floats of the buffer, including gaps. The gaps stay 0.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the number of parameters, without the gaps.
    pub fn count(&self) -> usize {
        self.entries.iter().map(|entry| entry.range.len()).sum()
    }
}

/// Named tensors in one flat buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// Names, shapes and ranges of the tensors.
    pub layout: ParameterLayout,
    /// The flat parameter buffer: `layout.len()` floats.
    pub values: Vec<f32>,
}

impl Parameters {
    /// Creates parameters that are all 0.
    pub fn zeros(layout: ParameterLayout) -> Self {
        let values = vec![0.0; layout.len()];
        Self { layout, values }
    }

    /// Returns the values of the tensor with a name.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.layout.find(name).map(|entry| &self.values[entry.range.clone()])
    }

    /// Returns the values of the tensor with a name, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut [f32]> {
        let range = self.layout.find(name)?.range.clone();
        Some(&mut self.values[range])
    }

    /// Returns a copy of the parameters of one member (`embedding`, `rnn` or `head`), under their
    /// names within it: `rnn.weight_ih_l0` is `weight_ih_l0`, as in PyTorch's module alone.
    pub fn member(&self, member: &str) -> Self {
        let (mut layout, mut values) = (ParameterLayout::default(), Vec::new());
        for (entry, of_entry) in self.iter() {
            let name = entry.name.strip_prefix(member).and_then(|name| name.strip_prefix('.'));
            let Some(name) = name else { continue };
            layout.push(name, &entry.shape);
            values.extend_from_slice(of_entry);
            values.resize(layout.len(), 0.0);
        }
        Self { layout, values }
    }

    /// Returns the first tensor with a non-finite value.
    pub(crate) fn not_finite(&self) -> Option<&TensorEntry> {
        self.iter().find(|(_, values)| !values.iter().all(|value| value.is_finite())).map(|(entry, _)| entry)
    }

    /// Returns all tensors with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&TensorEntry, &[f32])> {
        self.layout.entries().iter().map(|entry| (entry, &self.values[entry.range.clone()]))
    }
}
