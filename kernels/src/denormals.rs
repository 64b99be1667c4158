//! Denormal numbers count as zero while the kernels run.
//!
//! A denormal (subnormal) number is a float below the smallest normal one: 1.2e-38 for f32,
//! 2.2e-308 for f64. Many processors take over a hundred cycles for an operation with a denormal
//! operand or result, so training would be up to forty times slower if many values underflow.
//! [`flush`] sets the processor to a mode in which
//!
//! ```text
//! a denormal result becomes zero, with its sign        FTZ, flush to zero
//! a denormal operand counts as zero, with its sign     DAZ, denormals are zero
//! ```
//!
//! 1. Every kernel of this crate runs in this mode, on every SIMD backend. Then the mode of the
//!    caller is restored, also if the kernel panics.
//! 2. The mode is a property of a thread: bits 15 and 6 of MXCSR on x86-64, bit 24 of FPCR on
//!    AArch64. On other architectures [`flush`] changes nothing, and denormal numbers are computed
//!    as in IEEE 754.
//! 3. A kernel that sets and restores the mode takes less than ten nanoseconds longer (measured on
//!    Zen 5). If the mode is already set, the register is only read.
//! 4. Copies keep denormal numbers. The next operation counts them as zero.
//! 5. The compiler assumes that the register keeps its initial value (see `_mm_setcsr` in
//!    [`core::arch`]), which matters in two ways. It may compute constants in the initial mode: no
//!    constant of the kernels is denormal. It may move arithmetic past a change of the register: so
//!    kernels and the work of [`flush`] are functions that are never inlined, and the change is an
//!    `asm!` block that may access memory. Rounding stays to nearest, and exceptions stay masked.

use core::marker::PhantomData;

/// The register with the mode. Processors with SSE2 have both bits.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod register {
    use core::arch::asm;

    pub(super) type Value = u32;
    /// FTZ and DAZ.
    pub(super) const FLUSH: Value = 1 << 15 | 1 << 6;

    #[inline(always)]
    pub(super) fn read() -> Value {
        let mut value = 0;
        // SAFETY: the instruction writes four bytes, to `value`.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack, preserves_flags)) };
        value
    }

    /// # Safety
    /// `value` was read, and then only `FLUSH` changed.
    #[inline(always)]
    pub(super) unsafe fn write(value: Value) {
        // SAFETY: the instruction reads four bytes, from `value`. They set no reserved bit.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack)) };
    }
}

/// The register with the mode.
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod register {
    use core::arch::asm;

    pub(super) type Value = u64;
    /// FZ: for both operands and results.
    pub(super) const FLUSH: Value = 1 << 24;

    #[inline(always)]
    pub(super) fn read() -> Value {
        let value;
        // SAFETY: programs may read the register.
        unsafe { asm!("mrs {}, fpcr", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }

    /// # Safety
    /// `value` was read, and then only `FLUSH` changed.
    #[inline(always)]
    pub(super) unsafe fn write(value: Value) {
        // SAFETY: programs may write the register; the caller vouches for the value.
        unsafe { asm!("msr fpcr, {}", in(reg) value, options(nostack)) };
    }
}

/// An architecture without such a mode. It seems to be set already, so nothing is ever written.
#[cfg(not(any(
    all(target_arch = "x86_64", target_feature = "sse2"),
    all(target_arch = "aarch64", target_feature = "neon")
)))]
mod register {
    pub(super) type Value = u32;
    pub(super) const FLUSH: Value = 1;

    pub(super) fn read() -> Value {
        FLUSH
    }

    /// # Safety
    /// None.
    pub(super) unsafe fn write(_: Value) {}
}

/// Denormal numbers count as zero on this thread while it lives.
pub(crate) struct FlushMode {
    before: register::Value,
    /// The mode is a property of the thread.
    on_this_thread: PhantomData<*const ()>,
}

impl FlushMode {
    #[inline(always)]
    pub(crate) fn enter() -> Self {
        let before = register::read();
        if before & register::FLUSH != register::FLUSH {
            // SAFETY: only `FLUSH` changed.
            unsafe { register::write(before | register::FLUSH) };
        }
        Self { before, on_this_thread: PhantomData }
    }
}

impl Drop for FlushMode {
    #[inline(always)]
    fn drop(&mut self) {
        if self.before & register::FLUSH != register::FLUSH {
            // SAFETY: the value was read.
            unsafe { register::write(self.before) };
        }
    }
}

/// Runs `work` on this thread with denormal numbers as zeros, and restores the mode of the caller.
///
/// ```
/// use std::hint::black_box;
/// use unrolled_kernels::denormals::flush;
///
/// let half = || black_box(f32::MIN_POSITIVE) / 2.0;
/// if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
///     assert_eq!(flush(half), 0.0);
/// }
/// assert!(half() > 0.0);
/// ```
#[inline]
pub fn flush<R>(work: impl FnOnce() -> R) -> R {
    let _mode = FlushMode::enter();
    call(work)
}

/// Calls `work`, in a function of its own.
#[inline(never)]
fn call<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::{flush, register};

    /// Runs `work` with some bits of the register set.
    fn with<R>(bits: u32, work: impl Fn() -> R) -> R {
        let before = register::read();
        // SAFETY: the bits are FTZ, DAZ or the rounding mode, and the next write removes them.
        unsafe { register::write(before | bits) };
        let result = work();
        // SAFETY: the value was read.
        unsafe { register::write(before) };
        result
    }

    #[test]
    fn other_bits_stay_and_a_caller_with_a_part_of_the_mode_gets_it_back() {
        let initial = register::read();
        assert_eq!(initial & register::FLUSH, 0);
        let toward_zero = 3 << 13;
        for bits in [0, 1 << 15, 1 << 6, toward_zero, toward_zero | register::FLUSH] {
            let [inside, after] = with(bits, || [flush(register::read), register::read()]);
            assert_eq!(inside, initial | bits | register::FLUSH, "{bits:#x}");
            assert_eq!(after, initial | bits, "{bits:#x}");
        }
        assert_eq!(register::read(), initial);
    }
}
