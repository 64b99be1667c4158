//! The text of the last error of each thread.
//!
//! It is a buffer without a destructor, so a thread that never fails pays nothing, and a program
//! may unload the library while threads run.

use std::cell::UnsafeCell;
use std::ffi::c_char;

/// Bytes of the longest text, with its NUL. A longer text is cut.
const BYTES: usize = 2048;
const CUT: &str = " ...";

thread_local! {
    static TEXT: UnsafeCell<[u8; BYTES]> = const { UnsafeCell::new([0; BYTES]) };
}

/// Stores the text of an error of this thread.
pub(crate) fn set(text: &str) {
    let kept = if text.len() < BYTES { text } else { &text[..cut(text, BYTES - 1 - CUT.len())] };
    let end = if kept.len() == text.len() { "" } else { CUT };
    // A NUL would end the text, and a path may have line breaks.
    let bytes = kept.bytes().chain(end.bytes()).map(|byte| if byte.is_ascii_control() { b' ' } else { byte });
    TEXT.with(|buffer| {
        // SAFETY: the buffer belongs to this thread, and no reference to it is alive: references
        // exist only in this block, which calls nothing that uses the buffer.
        let buffer = unsafe { &mut *buffer.get() };
        let mut len = 0;
        for (to, byte) in buffer.iter_mut().zip(bytes) {
            *to = byte;
            len += 1;
        }
        buffer[len] = 0;
    });
}

/// Returns the last place up to `most` at which a text can be cut.
fn cut(text: &str, most: usize) -> usize {
    (0..=most).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(0)
}

/// Returns the text of the last call that failed on this thread: one line of UTF-8, "" if none
/// failed. It stays until the next call that fails on this thread, and calls that succeed do not
/// change it. The pointer is never NULL; do not free it.
#[unsafe(no_mangle)]
pub extern "C" fn unrolled_last_error() -> *const c_char {
    TEXT.with(|buffer| buffer.get().cast_const().cast())
}
