//! Detection of the instruction sets of the running processor, and the override from the environment.

#[cfg(target_arch = "x86_64")]
use super::InstructionSet;
use super::Isa;
#[cfg(target_arch = "x86_64")]
use crate::arch::amx::Amx;
use core::fmt;
use std::sync::OnceLock;

/// The name of the environment variable that forces an instruction set.
pub const ISA_VARIABLE: &str = "UNROLLED_ISA";

/// An unknown instruction set, or one that this processor lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsaError {
    found: String,
    why: String,
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Isa::all().map(Isa::name).collect();
        let (Self { found, why }, names) = (self, names.join(", "));
        write!(f, "{ISA_VARIABLE}: found {found:?}, {why}; expected {names}; set one of them, or unset it")
    }
}

impl std::error::Error for IsaError {}

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
