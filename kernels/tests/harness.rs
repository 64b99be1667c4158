//! Random numbers from a seed, and stored layouts.

use unrolled_kernels::pack::padded;
use unrolled_kernels::{ISA_VARIABLE, Isa};

/// Returns whether sums on this backend have the bits of fused chains.
pub fn fuses(isa: Isa) -> bool {
    isa.name() != Isa::PORTABLE.name()
}

/// AMX, if this process may use it, and its software model.
pub fn with_tiles() -> impl Iterator<Item = Isa> {
    [Isa::amx_model(), Isa::amx()].into_iter().flatten()
}

/// Every instruction set of this processor that is chosen without its name. None if `UNROLLED_ISA`
/// names AMX: in an emulator, which is slow, the tests then compare AMX with its model only.
pub fn all() -> impl Iterator<Item = Isa> {
    let amx_only = std::env::var_os(ISA_VARIABLE).is_some_and(|name| name == "amx");
    Isa::all().filter(move |_| !amx_only)
}

/// Every instruction set of this processor, with products of f32 and of bf16 values.
pub fn formats() -> impl Iterator<Item = Isa> {
    all().chain(with_tiles()).flat_map(|isa| [isa, isa.bf16()])
}

/// Numbers in [-1, 1) that depend only on a seed.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    pub fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }
    pub fn ids(&mut self, count: usize, below: usize) -> Vec<u32> {
        (0..count).map(|_| (self.next() % below as u64) as u32).collect()
    }
}

/// Values that start `offset` floats into their allocation, and so have no alignment.
pub struct Shifted(Vec<f32>, usize);

impl Shifted {
    pub fn new(values: &[f32], offset: usize) -> Self {
        Self([&vec![f32::NAN; offset], values].concat(), offset)
    }
    pub fn get(&self) -> &[f32] {
        &self.0[self.1..]
    }
    pub fn get_mut(&mut self) -> &mut [f32] {
        &mut self.0[self.1..]
    }
}

/// Converts [M, slot, H] to stored rows [M, block, slot, 16], with `fill` in the padding.
pub fn store(plain: &[f32], slots: usize, hidden: usize, fill: f32) -> Vec<f32> {
    let rows = plain.len() / (slots * hidden);
    let mut stored = vec![fill; rows * slots * padded(hidden)];
    for (i, value) in plain.iter().enumerate() {
        let (row, slot, unit) = (i / (slots * hidden), i / hidden % slots, i % hidden);
        stored[row * slots * padded(hidden) + (unit / 16 * slots + slot) * 16 + unit % 16] = *value;
    }
    stored
}

/// The inverse of [`store`]. With `strict`, the padding of half a vector must be zero.
pub fn unstore(stored: &[f32], slots: usize, hidden: usize, strict: bool) -> Vec<f32> {
    let (width, blocks) = (slots * padded(hidden), padded(hidden) / 16);
    let mut plain = vec![0.0; stored.len() / width * slots * hidden];
    for (i, value) in stored.iter().enumerate() {
        let (row, block, slot) = (i / width, i / (16 * slots) % blocks, i / 16 % slots);
        let unit = block * 16 + i % 16;
        if unit < hidden {
            plain[(row * slots + slot) * hidden + unit] = *value;
        } else if hidden <= block * 16 + 8 && i % 16 >= 8 {
            // Kernels leave a half vector of padding unchanged.
        } else {
            assert!(!strict || *value == 0.0, "padding of row {row}, slot {slot}, unit {unit} is {value}");
        }
    }
    plain
}
