//! Packed weights: floats that begin on a cache line, so that no vector lies across two; on huge pages where they are many.

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use memmap2::MmapMut;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// Floats from which on memory is asked for in huge pages: four of 2 MB. The sweep over such weights else waits for the
/// translation of addresses.
const MANY: usize = 2 << 20;

/// A cache line, and a vector of sixteen.
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
    /// Zeros.
    fn new(len: usize) -> Self {
        let pages = if len >= MANY { pages(size_of::<f32>() * len) } else { None };
        pages.map_or_else(|| Self::Lines(vec![CacheLine::zeroed(); len.div_ceil(16)]), Self::Pages)
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.len() * 16,
            Self::Pages(pages) => pages.len() / size_of::<f32>(),
        }
    }
}

/// Memory of its own for `bytes`; where the system has none to map, the allocator is asked instead.
fn pages(bytes: usize) -> Option<MmapMut> {
    let pages = MmapMut::map_anon(bytes).ok()?;
    // A kernel without huge pages refuses the advice, and the mapping serves as it is.
    #[cfg(target_os = "linux")]
    let _ = pages.advise(memmap2::Advice::HugePage);
    Some(pages)
}

impl Aligned {
    /// Cuts off, or makes room, until there are `len` floats; what they hold then is unspecified. Allocates only beyond the
    /// longest length so far.
    pub(crate) fn resize(&mut self, len: usize) {
        if len > self.memory.capacity() {
            self.memory = Memory::new(len);
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
    use super::{Aligned, MANY};

    #[test]
    fn any_length_begins_on_a_cache_line() {
        for len in (0..50).chain([MANY - 1, MANY, MANY + 1]) {
            let mut floats = Aligned::default();
            for longer in [len, len + 17, len] {
                floats.resize(longer);
                assert!(floats.len() == longer && floats.as_ptr().addr().is_multiple_of(64), "{longer}");
                floats.iter_mut().enumerate().for_each(|(i, value)| *value = i as f32);
            }
            assert!(floats.clone().iter().enumerate().all(|(i, value)| *value == i as f32), "{len}");
        }
        assert!(Aligned::default().is_empty());
    }
}
