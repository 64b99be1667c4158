//! Floats that begin on a cache line, so that no vector of packed weights lies across two.

use core::fmt;
use core::ops::{Deref, DerefMut};

/// A cache line, and a vector of sixteen.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// A growable slice of floats whose address is a multiple of 64 bytes.
#[derive(Clone, Default)]
pub struct Aligned {
    lines: Vec<Line>,
    len: usize,
}

impl Aligned {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Self { lines: vec![Line([0.0; 16]); len.div_ceil(16)], len }
    }

    /// Cuts off, or adds floats of unspecified value, until there are `len`. Allocates only beyond the longest length so far.
    pub fn resize(&mut self, len: usize) {
        self.lines.resize(len.div_ceil(16), Line([0.0; 16]));
        self.len = len;
    }
}

impl Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: the lines are `repr(C)` arrays without padding, and hold at least `len` floats, all initialised.
        unsafe { core::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above; the borrow is exclusive.
        unsafe { core::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl fmt::Debug for Aligned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Aligned;

    #[test]
    fn any_length_begins_on_a_cache_line() {
        for len in 0..50 {
            let mut floats = Aligned::zeros(len);
            assert!(floats.iter().all(|&value| value.to_bits() == 0) && floats.len() == len);
            floats.iter_mut().zip(1u8..).for_each(|(value, i)| *value = i.into());
            for longer in [len + 17, len] {
                floats.resize(longer);
                assert!(floats.len() == longer && floats.as_ptr().addr().is_multiple_of(64), "{longer}");
            }
            assert!(floats.clone().iter().zip(1u8..).all(|(value, i)| *value == i.into()));
        }
        assert!(Aligned::default().is_empty());
    }
}
