//! The functions that compile a kernel for each instruction set, and run it with denormal numbers as
//! zeros.

use crate::arch::VALUES;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
use crate::arch::amx::{Amx, ReleasesTiles};
#[cfg(all(feature = "std", target_arch = "x86_64"))]
use crate::arch::by_tiles::ByTiles;
#[cfg(feature = "std")]
use crate::arch::doubled::Doubled;
use crate::arch::portable::Portable;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
use crate::arch::tile_model::TileModel;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
use crate::arch::{FUSED_PAIRS, FUSED_QUADS};
#[cfg(feature = "std")]
use crate::arch::{PAIRS, QUADS};
#[cfg(target_arch = "x86_64")]
use crate::arch::{avx2::Avx2, avx512::Avx512};
use crate::denormals::FlushMode;
#[cfg(feature = "std")]
use crate::isa::Products;
use crate::isa::{InstructionSet, Isa};
use crate::simd::Kernel;

impl Isa {
    /// Runs a kernel on this instruction set.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        let _mode = FlushMode::enter();
        self.dispatch(kernel)
    }

    /// Runs a kernel in the mode of the caller.
    #[inline(always)]
    fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        match self.set {
            InstructionSet::Portable => run_portable(kernel),
            // SAFETY: an `Isa` with this instruction set exists only after detection (above).
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => unsafe { run_avx2(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 | InstructionSet::Avx512Bf16 => unsafe {
                run_avx512::<24, VALUES, _>(kernel)
            },
            // SAFETY: as above.
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            InstructionSet::Amx => unsafe { run_avx512::<24, VALUES, _>(kernel) },
            // SAFETY: as above.
            #[cfg(all(feature = "std", target_arch = "x86_64"))]
            InstructionSet::AmxModel => unsafe { run_avx2(kernel) },
        }
    }

    /// Runs a kernel of tiles. On AVX2 two registers make a vector. On AVX-512 a single row has its
    /// own tiles.
    #[cfg(feature = "std")]
    #[inline]
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables))]
    pub(crate) fn run_rows<K: Kernel>(self, rows: usize, kernel: K) -> K::Output {
        let _mode = FlushMode::enter();
        match self.set {
            // SAFETY: as in `dispatch`.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 | InstructionSet::AmxModel => unsafe {
                run_avx2_doubled::<VALUES, _>(kernel)
            },
            // SAFETY: as in `dispatch`.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 | InstructionSet::Avx512Bf16 | InstructionSet::Amx if rows == 1 => unsafe {
                run_avx512::<4, VALUES, _>(kernel)
            },
            _ => self.dispatch(kernel),
        }
    }

    /// Runs a kernel of tiles on words that hold pairs.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn run_pairs<K: Kernel>(self, kernel: K) -> K::Output {
        let _mode = FlushMode::enter();
        match self.set {
            InstructionSet::Portable => run_portable_doubled(kernel),
            // SAFETY: as in `dispatch`.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => unsafe { run_avx2_doubled::<PAIRS, _>(kernel) },
            // SAFETY: as in `dispatch`.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => unsafe { run_avx512::<24, PAIRS, _>(kernel) },
            // SAFETY: as in `dispatch`.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512Bf16 => unsafe { run_avx512_bf16(kernel) },
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Amx => match Amx::detect() {
                // SAFETY: as in `dispatch`.
                Ok(amx) => unsafe { run_amx(amx, kernel) },
                Err(refusal) => unreachable!("{refusal}, after detection"),
            },
            // SAFETY: as in `dispatch`.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::AmxModel => unsafe { run_amx_model(kernel) },
        }
    }

    /// Runs a kernel of tiles on words that hold quads.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn run_quads<K: Kernel>(self, kernel: K) -> K::Output {
        let _mode = FlushMode::enter();
        match self.set {
            InstructionSet::Portable => run_portable_quads(kernel),
            // SAFETY: as in `dispatch`; `has_vnni` has found the instructions for quads.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 | InstructionSet::AmxModel if self.has_vnni() => unsafe {
                run_avx2_vnni(kernel)
            },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 | InstructionSet::Avx512Bf16 | InstructionSet::Amx if self.has_vnni() => unsafe {
                run_avx512_vnni(kernel)
            },
            // SAFETY: as in `dispatch`. A processor with AVX-512 has AVX2.
            #[cfg(target_arch = "x86_64")]
            _ => unsafe { run_avx2_doubled::<QUADS, _>(kernel) },
        }
    }

    /// Runs a kernel of tiles on the words of this format.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn run_words<K: Kernel>(self, rows: usize, kernel: K) -> K::Output {
        match self.products {
            Products::F32 => self.run_rows(rows, kernel),
            Products::Bf16 => self.run_pairs(kernel),
            Products::Int8 => self.run_quads(kernel),
        }
    }
}

/// Runs a kernel on the portable backend. As for the other backends it is a separate function, so
/// that the stack holds the frame of one backend only, and no arithmetic moves out of the mode (see
/// `denormals`).
#[inline(never)]
fn run_portable<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Portable::<VALUES>)
}

#[cfg(feature = "std")]
#[inline(never)]
fn run_portable_doubled<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Doubled(Portable::<PAIRS>))
}

#[cfg(feature = "std")]
#[inline(never)]
fn run_portable_quads<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Portable::<QUADS>)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function is only reached on processors with these features.
    kernel.run(unsafe { Avx2::<12>::new_unchecked() })
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
fn run_avx2_doubled<const PRODUCTS: u8, K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function is only reached on processors with these features.
    kernel.run(Doubled(unsafe { Avx2::<12, PRODUCTS>::new_unchecked() }))
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[target_feature(enable = "avxvnni,avx2,fma")]
#[inline(never)]
fn run_avx2_vnni<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function is only reached on processors with these features.
    kernel.run(Doubled(unsafe { Avx2::<12, FUSED_QUADS>::new_unchecked() }))
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[target_feature(enable = "avx512vnni,avx512f,avx512dq,avx512vl,avx2,fma")]
#[inline(never)]
fn run_avx512_vnni<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function is only reached on processors with these features.
    kernel.run(unsafe { Avx512::<24, FUSED_QUADS>::new_unchecked() })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
#[inline(never)]
fn run_avx512<const SUMS: usize, const PRODUCTS: u8, K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function is only reached on processors with these features.
    kernel.run(unsafe { Avx512::<SUMS, PRODUCTS>::new_unchecked() })
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[target_feature(enable = "avx512bf16,avx512f,avx512dq,avx512vl,avx2,fma")]
#[inline(never)]
fn run_avx512_bf16<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function is only reached on processors with these features.
    kernel.run(unsafe { Avx512::<24, FUSED_PAIRS>::new_unchecked() })
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
#[inline(never)]
fn run_amx<K: Kernel>(amx: Amx, kernel: K) -> K::Output {
    let _release = ReleasesTiles::new(amx);
    // SAFETY: this function is only reached on processors with these features.
    kernel.run(ByTiles(unsafe { Avx512::<24, PAIRS>::new_unchecked() }, amx))
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
fn run_amx_model<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function is only reached on processors with these features.
    kernel.run(ByTiles(Doubled(unsafe { Avx2::<12, PAIRS>::new_unchecked() }), TileModel))
}
