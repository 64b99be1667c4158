//! The choice of the instruction set: detection, the override, and the functions that compile a
//! kernel for each instruction set and run it with denormal numbers as zeros.

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
    /// Zero, so that memory filled with zeros holds it.
    Portable = 0,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    /// AVX-512 with AMX for products of bf16 values.
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    Amx,
    /// AVX2 with the software model of AMX, for tests.
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    AmxModel,
}

/// What products multiply. Gates, losses and updates are always f32.
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
    set: InstructionSet,
    products: Products,
    /// True if an instruction for quads (VNNI) is not used.
    without_vnni: bool,
}

/// An unknown instruction set, or one that this processor lacks.
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsaError {
    found: String,
    why: String,
}

#[cfg(feature = "std")]
impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Isa::all().map(Isa::name).collect();
        let (Self { found, why }, names) = (self, names.join(", "));
        write!(f, "{ISA_VARIABLE}: found {found}, {why}; expected {names}; set one of them, or unset it")
    }
}

#[cfg(feature = "std")]
impl std::error::Error for IsaError {}

/// Detection on the running processor, and the override from the environment.
#[cfg(feature = "std")]
impl Isa {
    /// Returns AVX2 with FMA, if the processor has them.
    pub fn avx2() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Some(Self::of(InstructionSet::Avx2));
        }
        None
    }

    /// Returns AVX-512 F, DQ and VL, if the processor has them.
    pub fn avx512() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && Self::avx2().is_some()
        {
            return Some(Self::of(InstructionSet::Avx512));
        }
        None
    }

    /// Returns AVX-512 F, DQ and VL with BF16, if the processor has them.
    pub fn avx512_bf16() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512bf16") && Self::avx512().is_some() {
            return Some(Self::of(InstructionSet::Avx512Bf16));
        }
        None
    }

    /// Returns AVX-512 with AMX for products of bf16 values, if the processor has them and this
    /// process may use them. The first call asks the operating system (see [`crate::amx`]), so it
    /// comes before the threads start.
    pub fn amx() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if Self::avx512().is_some() && Amx::detect().is_ok() {
            return Some(Self::of(InstructionSet::Amx));
        }
        None
    }

    /// Returns AVX2 with a software model of AMX. It has the bits of AMX, is slow, and is for tests.
    #[doc(hidden)]
    pub fn amx_model() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        return Self::avx2().map(|_| Self::of(InstructionSet::AmxModel));
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// Returns every instruction set of this processor that is chosen without its name, the best
    /// last. AMX is not one of them.
    pub fn all() -> impl Iterator<Item = Self> {
        [Some(Self::PORTABLE), Self::avx2(), Self::avx512(), Self::avx512_bf16()].into_iter().flatten()
    }

    /// Returns the instruction set of that name.
    ///
    /// # Errors
    /// If the name is unknown, or the processor lacks the instruction set.
    pub fn named(name: &str) -> Result<Self, IsaError> {
        let found = match name {
            "amx" => Self::amx(),
            "amx-model" => Self::amx_model(),
            _ => Self::all().find(|isa| isa.name() == name),
        };
        found.ok_or_else(|| IsaError { found: name.into(), why: Self::reason(name) })
    }

    /// Returns why there is no instruction set of that name.
    fn reason(name: &str) -> String {
        #[cfg(target_arch = "x86_64")]
        if name == "amx"
            && let Err(refusal) = Amx::detect()
        {
            return format!("but {refusal}");
        }
        let known = ["portable", "avx2", "avx512", "avx512bf16", "amx", "amx-model"].contains(&name);
        if known { "an instruction set that this processor lacks" } else { "an unknown name" }.into()
    }

    /// Returns the instruction set that `UNROLLED_ISA` forces, or else the best one of the
    /// processor. The first call decides.
    ///
    /// # Errors
    /// If `UNROLLED_ISA` names an instruction set that is unknown or that the processor lacks.
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
    /// The portable backend, available everywhere.
    pub const PORTABLE: Self = Self::of(InstructionSet::Portable);

    const fn of(set: InstructionSet) -> Self {
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
    #[cfg(feature = "std")]
    fn has_vnni(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self.set {
            _ if self.without_vnni => false,
            InstructionSet::Portable => false,
            InstructionSet::Avx2 | InstructionSet::AmxModel => is_x86_feature_detected!("avxvnni"),
            InstructionSet::Avx512 | InstructionSet::Avx512Bf16 | InstructionSet::Amx => {
                is_x86_feature_detected!("avx512vnni")
            }
        };
        #[cfg(not(target_arch = "x86_64"))]
        false
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

    /// Returns the name: `portable`, `avx2`, `avx512`, `avx512bf16` or `amx`.
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
