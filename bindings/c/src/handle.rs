//! Handles: pointers that a C program holds in place of Rust values.
//!
//! 1. A handle starts with a mark that tells its type, and that changes when it is freed. So most
//!    freed handles and handles of another type are recognized. That is best effort: the allocator
//!    may use the memory of a freed handle for something else.
//! 2. A handle of one thread at a time has a turn, which a call takes without waiting. A call that
//!    finds it taken is an error, so two threads never race. A panic during a turn ends the handle.

use crate::status::{Failure, unrolled_status};
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

const FREED: u64 = u64::from_le_bytes(*b"unr-free");

/// Nobody uses the value.
const FREE: u8 = 0;
/// A call uses the value.
const TAKEN: u8 = 1;
/// A call panicked while it used the value.
const BROKEN: u8 = 2;

/// The type that C programs know, for one type of value.
pub(crate) trait Opaque {
    type Value;
    /// The mark of its handles.
    const MARK: u64;
    /// Its name in messages.
    const NAME: &'static str;
}

/// A value and its checks. `repr(C)`, because a mark is read before the type is known.
#[repr(C)]
pub(crate) struct Handle<T> {
    mark: AtomicU64,
    turn: AtomicU8,
    value: UnsafeCell<T>,
}

/// Creates a handle, for [`free`].
pub(crate) fn create<C: Opaque>(value: C::Value) -> *mut C {
    let handle =
        Handle { mark: AtomicU64::new(C::MARK), turn: AtomicU8::new(FREE), value: UnsafeCell::new(value) };
    Box::into_raw(Box::new(handle)).cast()
}

/// Finds the handle of a pointer.
///
/// # Safety
/// `pointer` is null, or points to a handle that lives as long as `'a`. The checks recognize most
/// pointers that do not.
unsafe fn find<'a, C: Opaque>(pointer: *const C) -> Result<&'a Handle<C::Value>, Failure> {
    let handle = pointer.cast::<Handle<C::Value>>();
    if handle.is_null() || !handle.is_aligned() {
        return Err(refused::<C>(handle.is_null()));
    }
    // SAFETY: the pointer is not null and aligned; that it points to a handle is the caller's
    // obligation.
    let mark = unsafe { (*handle).mark.load(Ordering::Relaxed) };
    if mark != C::MARK {
        return Err(other::<C>(mark));
    }
    // SAFETY: as above.
    Ok(unsafe { &*handle })
}

#[cold]
fn refused<C: Opaque>(is_null: bool) -> Failure {
    match is_null {
        true => Failure::null(C::NAME, "a handle"),
        false => other::<C>(0),
    }
}

#[cold]
fn other<C: Opaque>(mark: u64) -> Failure {
    let found = if mark == FREED { "a freed handle" } else { "a pointer to something else" };
    let text = format!("{}: found {found}, expected a handle that this library made", C::NAME);
    Failure::new(unrolled_status::UNROLLED_POINTER, text)
}

/// Returns the value of a handle that several threads may use.
///
/// # Safety
/// As for [`find`].
pub(crate) unsafe fn shared<'a, C: Opaque>(pointer: *const C) -> Result<&'a C::Value, Failure>
where
    C::Value: Sync,
{
    // SAFETY: the caller's obligation.
    let handle = unsafe { find(pointer)? };
    // SAFETY: handles of this type are only shared; nobody takes a turn except `free`.
    Ok(unsafe { &*handle.value.get() })
}

/// Takes the turn of a handle that one thread at a time may use. It does not wait.
///
/// # Safety
/// As for [`find`].
#[inline]
pub(crate) unsafe fn turn<'a, C: Opaque>(pointer: *const C) -> Result<Turn<'a, C::Value>, Failure> {
    // SAFETY: the caller's obligation.
    let handle = unsafe { find(pointer)? };
    match handle.turn.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed) {
        Ok(_) => Ok(Turn { handle }),
        Err(state) => Err(refused_turn::<C>(state)),
    }
}

#[cold]
fn refused_turn<C: Opaque>(state: u8) -> Failure {
    let name = C::NAME;
    match state {
        TAKEN => Failure::new(
            unrolled_status::UNROLLED_BUSY,
            format!(
                "{name}: found a call of another thread, expected one thread at a time; use one {name} each"
            ),
        ),
        _ => Failure::new(
            unrolled_status::UNROLLED_BUG,
            format!("{name}: an earlier call failed with a bug in unrolled; free it"),
        ),
    }
}

/// The turn of a handle, which ends when dropped.
pub(crate) struct Turn<'a, T> {
    handle: &'a Handle<T>,
}

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: whoever has the turn is the only user of the value.
        unsafe { &*self.handle.value.get() }
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.handle.value.get() }
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let next = if std::thread::panicking() { BROKEN } else { FREE };
        self.handle.turn.store(next, Ordering::Release);
    }
}

/// Frees a handle; null is fine. A handle that another thread uses is an error, and stays.
///
/// # Safety
/// As for [`find`]; and no call uses the handle, nor will any.
pub(crate) unsafe fn free<C: Opaque>(pointer: *mut C) -> Result<(), Failure> {
    if pointer.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's obligation.
    let handle = unsafe { find(pointer.cast_const())? };
    if handle.turn.swap(TAKEN, Ordering::Acquire) == TAKEN {
        return Err(refused_turn::<C>(TAKEN));
    }
    handle.mark.store(FREED, Ordering::Relaxed);
    // SAFETY: `create` made the box, and the mark shows that it was not freed yet.
    drop(unsafe { Box::from_raw(pointer.cast::<Handle<C::Value>>()) });
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Takes the turn of a handle as another thread would, until the result is dropped.
    pub(crate) fn hold<C: Opaque>(pointer: *const C) -> Turn<'static, C::Value> {
        // SAFETY: tests free the handle after the turn.
        unsafe { turn(pointer) }.expect("a free handle")
    }
}
