//! Whether this process may use AMX.

use core::fmt;
use raw_cpuid::CpuId;
use std::sync::OnceLock;

/// Proof that the processor has AMX with bf16, that the operating system saves the tiles, and that
/// this process may use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amx(());

/// Why this process cannot use AMX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The processor lacks AMX-TILE or AMX-BF16.
    NoAmx,
    /// The operating system does not save tiles when it switches threads.
    NotSaved,
    /// Linux refused permission; the error number of `arch_prctl`.
    NotPermitted(i64),
    /// The operating system is not Linux.
    NotLinux,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAmx => f.write_str("the processor has no AMX with bf16"),
            Self::NotSaved => f.write_str("the operating system does not save AMX tiles"),
            Self::NotPermitted(code) => {
                write!(f, "Linux refused permission for AMX (arch_prctl returned {code})")
            }
            Self::NotLinux => f.write_str("AMX is supported on Linux only"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Amx {
    /// Asks Linux for permission to use AMX, if the processor has it. The first call decides.
    ///
    /// The permission is for all threads of the process, and lasts until it ends. Ask before the
    /// threads start: Linux refuses if the signal stack of a thread is too small for the tiles.
    ///
    /// # Errors
    /// If the processor lacks AMX, or the process may not use it.
    pub fn detect() -> Result<Self, Refusal> {
        static DETECTED: OnceLock<Result<Amx, Refusal>> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            if !has_instructions() {
                return Err(Refusal::NoAmx);
            }
            if !saves_tiles() {
                return Err(Refusal::NotSaved);
            }
            request_permission()?;
            Ok(Self(()))
        })
    }
}

/// Returns whether the processor has AMX-TILE and AMX-BF16.
fn has_instructions() -> bool {
    CpuId::new().get_extended_feature_info().is_some_and(|info| info.has_amx_tile() && info.has_amx_bf16())
}

/// Returns whether the operating system saves the configuration (bit 17) and the data (bit 18) of
/// tiles.
fn saves_tiles() -> bool {
    const TILES: u64 = 0b11 << 17;
    let readable = CpuId::new().get_feature_info().is_some_and(|info| info.has_oxsave());
    // SAFETY: the processor has the instruction, and the operating system lets programs use it.
    readable && unsafe { core::arch::x86_64::_xgetbv(0) } & TILES == TILES
}

/// Asks Linux for the room for the data of tiles (Documentation/arch/x86/xstate.rst).
#[cfg(target_os = "linux")]
fn request_permission() -> Result<(), Refusal> {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST_PERMISSION: u64 = 0x1023;
    const TILE_DATA: u64 = 18;
    let mut result = ARCH_PRCTL;
    // SAFETY: the call changes no memory of the process. The kernel overwrites rax, rcx and r11.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") result,
            in("rdi") REQUEST_PERMISSION,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    if result == 0 { Ok(()) } else { Err(Refusal::NotPermitted(result)) }
}

#[cfg(not(target_os = "linux"))]
fn request_permission() -> Result<(), Refusal> {
    Err(Refusal::NotLinux)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_without_the_instructions_has_no_amx() {
        assert!(has_instructions() || Amx::detect() == Err(Refusal::NoAmx));
    }

    #[test]
    fn a_refusal_is_one_line_with_its_reason() {
        let line = Refusal::NotPermitted(-22).to_string();
        assert_eq!(line, "Linux refused permission for AMX (arch_prctl returned -22)");
        for refusal in [Refusal::NoAmx, Refusal::NotSaved, Refusal::NotLinux] {
            assert!(!refusal.to_string().contains('\n'));
        }
    }
}
