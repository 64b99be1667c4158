//! The processor: its model name and the sizes of its caches.
//!
//! Kernels choose the sizes of their tiles and chunks from [`caches`]. The bits of results do not
//! depend on them.

use std::sync::OnceLock;

/// Sizes of a core's caches in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caches {
    /// First-level data cache of a core.
    pub first: usize,
    /// Second-level cache of a core.
    pub second: usize,
    /// Third-level cache, shared with other cores; 0 if there is none, or if its size is unknown.
    pub third: usize,
}

impl Caches {
    /// Small sizes that work well on any processor, for processors that do not report theirs.
    pub const SMALL: Self = Self { first: 32 << 10, second: 256 << 10, third: 0 };

    /// Keeps plausible reported sizes, and takes the others from [`Caches::SMALL`].
    fn of_reported(first: usize, second: usize, third: usize) -> Self {
        let within = |size: usize, low: usize, high: usize| Some(size).filter(|s| (low..=high).contains(s));
        Self {
            first: within(first, 8 << 10, 1 << 20).unwrap_or(Self::SMALL.first),
            second: within(second, 64 << 10, 64 << 20).unwrap_or(Self::SMALL.second),
            third: within(third, 512 << 10, 4 << 30).unwrap_or(Self::SMALL.third),
        }
    }
}

/// Returns the caches of this processor. The first call reads them.
pub fn caches() -> Caches {
    static CACHES: OnceLock<Caches> = OnceLock::new();
    *CACHES.get_or_init(|| {
        let [first, second, third] = [1, 2, 3].map(reported);
        Caches::of_reported(first, second, third)
    })
}

/// Returns the size of the largest data cache of a level in bytes, or 0.
#[cfg(target_arch = "x86_64")]
fn reported(level: u8) -> usize {
    use raw_cpuid::{CacheType, CpuId};
    let caches = CpuId::new().get_cache_parameters().into_iter().flatten();
    let holds_data = |kind| matches!(kind, CacheType::Data | CacheType::Unified);
    let sizes =
        caches.filter(|cache| cache.level() == level && holds_data(cache.cache_type())).map(|cache| {
            let lines = cache.associativity().saturating_mul(cache.physical_line_partitions());
            lines.saturating_mul(cache.coherency_line_size()).saturating_mul(cache.sets())
        });
    sizes.max().unwrap_or(0)
}

#[cfg(not(target_arch = "x86_64"))]
fn reported(_: u8) -> usize {
    0
}

/// Returns the processor's model name, such as "AMD EPYC 9B14", or its architecture if it reports
/// no name.
pub fn model() -> String {
    let name = brand().trim().to_owned();
    if name.is_empty() { std::env::consts::ARCH.to_owned() } else { name }
}

#[cfg(target_arch = "x86_64")]
fn brand() -> String {
    let brand = raw_cpuid::CpuId::new().get_processor_brand_string();
    brand.map(|brand| brand.as_str().to_owned()).unwrap_or_default()
}

#[cfg(not(target_arch = "x86_64"))]
fn brand() -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plausible_sizes_are_kept_and_others_replaced() {
        let zen = Caches { first: 32 << 10, second: 512 << 10, third: 32 << 20 };
        assert_eq!(Caches::of_reported(zen.first, zen.second, zen.third), zen);
        assert_eq!(Caches::of_reported(0, 0, 0), Caches::SMALL);
        assert_eq!(Caches::of_reported(usize::MAX, 1, usize::MAX), Caches::SMALL);
    }

    #[test]
    fn this_processor_has_a_name_and_caches() {
        let Caches { first, second, .. } = caches();
        assert!(first < second && first % 1024 == 0, "{first} {second}");
        assert!(!model().is_empty());
    }
}
