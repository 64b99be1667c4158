//! The instruction sets: their names, and what the kernels of each need to know.

#[cfg(feature = "std")]
mod detection;

#[cfg(feature = "std")]
use crate::arch::PAIRS;
#[cfg(feature = "std")]
use crate::arch::portable::Portable;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
use crate::arch::{avx2::Avx2, avx512::Avx512};
#[cfg(feature = "std")]
use crate::simd::Simd;
#[cfg(feature = "std")]
pub use detection::{ISA_VARIABLE, IsaError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum InstructionSet {
    /// Zero, so that memory filled with zeros holds it.
    Portable = 0,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    #[cfg_attr(not(feature = "std"), expect(dead_code, reason = "products of bf16 values need `std`"))]
    Avx512Bf16,
    /// AVX-512 with AMX for products of bf16 values.
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    Amx,
    /// AVX2 with the software model of AMX, for tests.
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    AmxModel,
}

/// The number format of the operands of products. Gates, losses and updates are always f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Products {
    /// f32 values. Zero, so that memory filled with zeros holds it.
    #[default]
    F32 = 0,
    /// Pairs of values that are rounded to bf16. Sums are f32.
    Bf16,
    /// Quads of 8-bit integers, for inference (see [`crate::int8`]). Sums are integers.
    Int8,
}

/// An instruction set that this processor has, and what its products multiply. A value exists only
/// after detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa {
    pub(crate) set: InstructionSet,
    pub(crate) products: Products,
    /// True if an instruction for quads (VNNI) is not used.
    without_vnni: bool,
}

impl Isa {
    /// The portable backend, available everywhere.
    pub const PORTABLE: Self = Self::of(InstructionSet::Portable);

    pub(crate) const fn of(set: InstructionSet) -> Self {
        Self { set, products: Products::F32, without_vnni: false }
    }

    /// Returns the same instruction set with products of f32 values.
    pub fn f32(self) -> Self {
        Self { products: Products::F32, ..self }
    }

    /// Returns the same instruction set with products of bf16 values.
    #[cfg(feature = "std")]
    pub fn bf16(self) -> Self {
        Self { products: Products::Bf16, ..self }
    }

    /// Returns the same instruction set with products of 8-bit integers, for inference.
    #[cfg(feature = "std")]
    pub fn int8(self) -> Self {
        Self { products: Products::Int8, ..self }
    }

    /// Returns the same instruction set without instructions for quads of 8-bit integers (VNNI).
    #[cfg(feature = "std")]
    pub fn without_vnni(self) -> Self {
        Self { without_vnni: true, ..self }
    }

    /// Returns whether the processor has an instruction for quads of 8-bit integers, in vectors of
    /// this instruction set.
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    pub(crate) fn has_vnni(self) -> bool {
        match self.set {
            _ if self.without_vnni => false,
            InstructionSet::Portable => false,
            InstructionSet::Avx2 | InstructionSet::AmxModel => is_x86_feature_detected!("avxvnni"),
            InstructionSet::Avx512 | InstructionSet::Avx512Bf16 | InstructionSet::Amx => {
                is_x86_feature_detected!("avx512vnni")
            }
        }
    }

    /// Returns whether products go by tiles: those of bf16 values with AMX.
    #[cfg(feature = "std")]
    #[doc(hidden)]
    pub fn has_tiles(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.products == Products::Bf16
            && matches!(self.set, InstructionSet::Amx | InstructionSet::AmxModel);
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Returns what products multiply.
    pub fn products(self) -> Products {
        self.products
    }

    /// Returns the best instruction set that the compiler may assume (`-C target-cpu`,
    /// `-C target-feature`). Without `std` there is no detection, and cells run on this one.
    pub const fn compiled() -> Self {
        #[cfg(all(target_arch = "x86_64", target_feature = "avx2", target_feature = "fma"))]
        {
            let wide = cfg!(all(
                target_feature = "avx512f",
                target_feature = "avx512dq",
                target_feature = "avx512vl"
            ));
            Self::of(if wide { InstructionSet::Avx512 } else { InstructionSet::Avx2 })
        }
        #[cfg(not(all(target_arch = "x86_64", target_feature = "avx2", target_feature = "fma")))]
        Self::PORTABLE
    }

    /// Returns AVX2 with FMA, for a program with its own detection.
    ///
    /// # Safety
    /// The processor has both.
    #[cfg(target_arch = "x86_64")]
    pub const unsafe fn avx2_unchecked() -> Self {
        Self::of(InstructionSet::Avx2)
    }

    /// Returns AVX-512 F, DQ and VL, for a program with its own detection.
    ///
    /// # Safety
    /// The processor has all three, and AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    pub const unsafe fn avx512_unchecked() -> Self {
        Self::of(InstructionSet::Avx512)
    }

    /// Returns the name: `portable`, `avx2`, `avx512`, `avx512bf16`, `amx` or `amx-model`.
    pub fn name(self) -> &'static str {
        match self.set {
            InstructionSet::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512Bf16 => "avx512bf16",
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            InstructionSet::Amx => "amx",
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            InstructionSet::AmxModel => "amx-model",
        }
    }

    /// Returns the number of floats in one vector of this backend.
    pub fn lanes(self) -> usize {
        match self.set {
            InstructionSet::Portable => 8,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => 8,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 | InstructionSet::Avx512Bf16 => 16,
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            InstructionSet::Amx => 16,
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            InstructionSet::AmxModel => 8,
        }
    }

    /// Returns the smallest depth from which on this backend stores the vectors of a panel one
    /// after another.
    #[cfg(feature = "std")]
    pub(crate) fn deep(self) -> usize {
        match self.set {
            _ if self.has_tiles() => usize::MAX,
            InstructionSet::Portable => Portable::<PAIRS>::DEEP,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 | InstructionSet::AmxModel => Avx2::<12>::DEEP,
            // Without VNNI, integers are multiplied by instructions of AVX2.
            #[cfg(target_arch = "x86_64")]
            _ if self.products == Products::Int8 && !self.has_vnni() => Avx2::<12>::DEEP,
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 | InstructionSet::Avx512Bf16 | InstructionSet::Amx => Avx512::<24>::DEEP,
        }
    }
}
