//! Which instruction set runs: detection, the override, and every `#[target_feature]` of this crate.

#[cfg(all(feature = "std", target_arch = "x86_64"))]
use crate::arch::doubled::Doubled;
use crate::arch::portable::Portable;
#[cfg(target_arch = "x86_64")]
use crate::arch::{avx2::Avx2, avx512::Avx512};
use crate::simd::Kernel;
#[cfg(feature = "std")]
use crate::simd::Simd;
#[cfg(feature = "std")]
use core::fmt;
#[cfg(feature = "std")]
use std::sync::OnceLock;

/// The name of the environment variable that forces an instruction set.
#[cfg(feature = "std")]
pub const ISA_VARIABLE: &str = "UNROLLED_ISA";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum InstructionSet {
    /// Zero: memory filled with zeros holds it.
    Portable = 0,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// An instruction set that this processor has: a value exists only when detection has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(InstructionSet);

/// A forced instruction set that cannot be had.
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsaError {
    found: String,
    known: bool,
}

#[cfg(feature = "std")]
impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Isa::all().map(Isa::name).collect();
        let why = if self.known { "this processor lacks it" } else { "no such instruction set" };
        write!(f, "{ISA_VARIABLE}={}: {why}; here it can be {}, or unset", self.found, names.join(", "))
    }
}

#[cfg(feature = "std")]
impl std::error::Error for IsaError {}

/// What asks the running processor and its environment.
#[cfg(feature = "std")]
impl Isa {
    /// AVX2 with FMA, where the processor has them.
    pub fn avx2() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Some(Self(InstructionSet::Avx2));
        }
        None
    }

    /// AVX-512 F, DQ and VL, where the processor has them.
    pub fn avx512() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && Self::avx2().is_some()
        {
            return Some(Self(InstructionSet::Avx512));
        }
        None
    }

    /// Every instruction set of this processor, the best last.
    pub fn all() -> impl Iterator<Item = Self> {
        [Some(Self::PORTABLE), Self::avx2(), Self::avx512()].into_iter().flatten()
    }

    /// The instruction set of that name.
    ///
    /// # Errors
    /// When there is none of that name, or the processor lacks it.
    pub fn named(name: &str) -> Result<Self, IsaError> {
        let known = ["portable", "avx2", "avx512"].contains(&name);
        Self::all().find(|isa| isa.name() == name).ok_or_else(|| IsaError { found: name.into(), known })
    }

    /// The one that `UNROLLED_ISA` forces, or the best that the processor has; decided once.
    ///
    /// # Errors
    /// When the forced one cannot be had.
    pub fn detect() -> Result<Self, IsaError> {
        static DETECTED: OnceLock<Result<Isa, IsaError>> = OnceLock::new();
        let forced = || match std::env::var_os(ISA_VARIABLE) {
            Some(name) => Self::named(&name.to_string_lossy()),
            None => Ok(Self::all().last().unwrap_or(Self::PORTABLE)),
        };
        DETECTED.get_or_init(forced).clone()
    }
}

impl Isa {
    /// The portable leaf, available everywhere.
    pub const PORTABLE: Self = Self(InstructionSet::Portable);

    /// The best that the compiler was told to take for granted (`-C target-cpu`, `-C target-feature`): what there is
    /// without `std`, where nothing can be asked.
    pub const fn compiled() -> Self {
        #[cfg(all(target_arch = "x86_64", target_feature = "avx2", target_feature = "fma"))]
        {
            let wide = cfg!(all(
                target_feature = "avx512f",
                target_feature = "avx512dq",
                target_feature = "avx512vl"
            ));
            Self(if wide { InstructionSet::Avx512 } else { InstructionSet::Avx2 })
        }
        #[cfg(not(all(target_arch = "x86_64", target_feature = "avx2", target_feature = "fma")))]
        Self::PORTABLE
    }

    /// AVX2 with FMA, for a program that has its own way to find out.
    ///
    /// # Safety
    /// The processor has both.
    #[cfg(target_arch = "x86_64")]
    pub const unsafe fn avx2_unchecked() -> Self {
        Self(InstructionSet::Avx2)
    }

    /// AVX-512 F, DQ and VL, for a program that has its own way to find out.
    ///
    /// # Safety
    /// The processor has all three, and AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    pub const unsafe fn avx512_unchecked() -> Self {
        Self(InstructionSet::Avx512)
    }

    /// `portable`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            InstructionSet::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => "avx512",
        }
    }

    /// Floats in one vector register of this leaf.
    pub fn lanes(self) -> usize {
        match self.0 {
            InstructionSet::Portable => 8,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => 8,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => 16,
        }
    }

    /// From how many k on this backend wants the vectors of a panel one after another.
    #[cfg(feature = "std")]
    pub(crate) fn deep(self) -> usize {
        match self.0 {
            InstructionSet::Portable => Portable::DEEP,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => Avx2::<12>::DEEP,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => Avx512::<24>::DEEP,
        }
    }

    /// Runs a kernel on this instruction set.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            InstructionSet::Portable => run_portable(kernel),
            // SAFETY: an `Isa` of this kind is made only after detection (above).
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => unsafe { run_avx2(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => unsafe { run_avx512::<24, _>(kernel) },
        }
    }

    /// Runs a kernel of tiles. On AVX2 two registers make a vector; on AVX-512 `rows` chooses the tiles for a single row.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn run_rows<K: Kernel>(self, rows: usize, kernel: K) -> K::Output {
        match self.0 {
            // SAFETY: as in `run`.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => unsafe { run_avx2_pairs(kernel) },
            // SAFETY: as in `run`.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 if rows == 1 => unsafe { run_avx512::<4, _>(kernel) },
            _ => self.run(kernel),
        }
    }
}

/// A function of its own, as the others are, so that the stack holds the frame of one leaf only.
#[inline(never)]
fn run_portable<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Portable)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function is only reached on processors with these features.
    kernel.run(unsafe { Avx2::<12>::new_unchecked() })
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[target_feature(enable = "avx2,fma")]
fn run_avx2_pairs<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function is only reached on processors with these features.
    kernel.run(Doubled(unsafe { Avx2::<12>::new_unchecked() }))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
fn run_avx512<const SUMS: usize, K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function is only reached on processors with these features.
    kernel.run(unsafe { Avx512::<SUMS>::new_unchecked() })
}
