//! Memory of packed weights and activations. It starts on a cache line, so that no vector crosses two
//! lines. Large weights are on huge pages.

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use memmap2::MmapMut;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// The smallest number of floats on huge pages: four pages of 2 MB. On small pages the walk over
/// such weights would wait for address translation.
const HUGE: usize = 2 << 20;

/// A cache line, which is a vector of sixteen floats.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct CacheLine([f32; 16]);

/// A growable slice of floats whose address is a multiple of 64 bytes.
#[derive(Default)]
pub(crate) struct Aligned {
    memory: Memory,
    len: usize,
}

enum Memory {
    Lines(Vec<CacheLine>),
    Pages(MmapMut),
}

impl Default for Memory {
    fn default() -> Self {
        Self::Lines(Vec::new())
    }
}

impl Memory {
    /// Returns memory of zeros.
    fn new(len: usize) -> Self {
        let pages = if len >= HUGE { pages(size_of::<f32>() * len) } else { None };
        pages.map_or_else(|| Self::lines(len), Self::Pages)
    }

    /// Returns memory of zeros from the heap.
    fn lines(len: usize) -> Self {
        Self::Lines(vec![CacheLine::zeroed(); len.div_ceil(16)])
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.len() * 16,
            Self::Pages(pages) => pages.len() / size_of::<f32>(),
        }
    }
}

/// Maps `bytes` of memory; `None` if the system refuses, and the allocator is used instead.
fn pages(bytes: usize) -> Option<MmapMut> {
    let pages = MmapMut::map_anon(bytes).ok()?;
    // A system without huge pages ignores the advice. The mapping works anyway.
    #[cfg(target_os = "linux")]
    let _ = pages.advise(memmap2::Advice::HugePage);
    Some(pages)
}

impl Aligned {
    /// Sets the length to `len` floats, with unspecified values. Allocates only beyond the longest
    /// length so far.
    pub(crate) fn resize(&mut self, len: usize) {
        if len > self.memory.capacity() {
            self.memory = Memory::new(len);
        }
        self.len = len;
    }

    /// Sets the length as [`Aligned::resize`], with room for `most` floats, on the heap whatever
    /// their number. Each float is one that was there before, or zero.
    pub(crate) fn resize_on_heap(&mut self, len: usize, most: usize) {
        if most > self.memory.capacity() {
            self.memory = Memory::lines(most);
        }
        self.len = len;
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        let mut clone = Self::default();
        clone.resize(self.len);
        clone.copy_from_slice(self);
        clone
    }
}

impl Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match &self.memory {
            Memory::Lines(lines) => &cast_slice(lines)[..self.len],
            Memory::Pages(pages) => &cast_slice(pages)[..self.len],
        }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        match &mut self.memory {
            Memory::Lines(lines) => &mut cast_slice_mut(lines)[..self.len],
            Memory::Pages(pages) => &mut cast_slice_mut(pages)[..self.len],
        }
    }
}

impl fmt::Debug for Aligned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Aligned, HUGE};

    #[test]
    fn any_length_starts_on_a_cache_line() {
        for len in (0..50).chain([HUGE - 1, HUGE, HUGE + 1]) {
            let mut floats = Aligned::default();
            for longer in [len, len + 17, len] {
                floats.resize(longer);
                floats.resize_on_heap(longer, longer);
                assert!(floats.len() == longer && floats.as_ptr().addr().is_multiple_of(64), "{longer}");
                floats.iter_mut().enumerate().for_each(|(i, value)| *value = i as f32);
            }
            assert!(floats.clone().iter().enumerate().all(|(i, value)| *value == i as f32), "{len}");
        }
        assert!(Aligned::default().is_empty());
    }
}
