//! Arrays of the caller: checks, and slices.

use crate::status::{Failure, unrolled_status};
use std::ffi::{CStr, c_char};
use std::path::Path;
use std::slice;

/// Multiplies sizes.
pub(crate) fn product(sizes: &[usize]) -> Result<usize, Failure> {
    let all = sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    let most = isize::MAX as usize / size_of::<f32>();
    all.filter(|count| *count <= most).ok_or_else(|| {
        let sizes = sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
        Failure::argument(format!("found an array of {sizes} values, expected one that memory can hold"))
    })
}

/// Multiplies the sizes of a window, which must not be zero.
pub(crate) fn tokens(steps: usize, batch: usize) -> Result<usize, Failure> {
    for (name, size) in [("steps", steps), ("batch", batch)] {
        if size == 0 {
            return Err(Failure::argument(format!("{name}: found 0, expected at least 1")));
        }
    }
    product(&[steps, batch])
}

#[inline]
fn check<T>(name: &str, pointer: *const T, len: usize) -> Result<(), Failure> {
    match !pointer.is_null() && pointer.is_aligned() {
        true => Ok(()),
        false => Err(refused(name, pointer.is_null(), len)),
    }
}

#[cold]
fn refused(name: &str, is_null: bool, len: usize) -> Failure {
    if is_null {
        return Failure::null(name, &format!("{len} values"));
    }
    let text =
        format!("{name}: found an address that is not aligned, expected {len} values at an aligned one");
    Failure::new(unrolled_status::UNROLLED_POINTER, text)
}

/// Returns the `len` values of an array.
///
/// # Safety
/// `pointer` is null, or valid for reads of `len` values while the result is used.
#[inline]
pub(crate) unsafe fn input<'a, T>(name: &str, pointer: *const T, len: usize) -> Result<&'a [T], Failure> {
    check(name, pointer, len)?;
    // SAFETY: not null, aligned, and no longer than an address can reach; the rest is the caller's
    // obligation.
    Ok(unsafe { slice::from_raw_parts(pointer, len) })
}

/// Returns the values of an array that may be missing.
///
/// # Safety
/// As for [`input`].
pub(crate) unsafe fn optional<'a, T>(
    name: &str,
    pointer: *const T,
    len: usize,
) -> Result<Option<&'a [T]>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's obligation.
    unsafe { input(name, pointer, len) }.map(Some)
}

/// An array of the caller that results are copied to. It may be an input of the same call, because
/// it is written after all inputs were read.
pub(crate) struct Output {
    pointer: *mut f32,
    len: usize,
}

impl Output {
    /// Checks an array of `len` values.
    ///
    /// # Safety
    /// `pointer` is null, or valid for writes of `len` values until [`Output::write`].
    #[inline]
    pub(crate) unsafe fn new(name: &str, pointer: *mut f32, len: usize) -> Result<Self, Failure> {
        check(name, pointer, len)?;
        Ok(Self { pointer, len })
    }

    /// Checks an array that may be missing.
    ///
    /// # Safety
    /// As for [`Output::new`].
    pub(crate) unsafe fn optional(
        name: &str,
        pointer: *mut f32,
        len: usize,
    ) -> Result<Option<Self>, Failure> {
        if pointer.is_null() {
            return Ok(None);
        }
        // SAFETY: the caller's obligation.
        unsafe { Self::new(name, pointer, len) }.map(Some)
    }

    /// Writes all values.
    ///
    /// # Panics
    /// If there are more or fewer.
    #[inline]
    pub(crate) fn write(self, values: &[f32]) {
        assert_eq!(values.len(), self.len, "one value for each place");
        // SAFETY: the array is valid for writes of `len` values (`new`). `copy` allows that the
        // two overlap.
        unsafe { std::ptr::copy(values.as_ptr(), self.pointer, self.len) };
    }

    /// Returns the array as a slice, to be written in place.
    ///
    /// # Safety
    /// Nobody else uses the array while the result is used.
    pub(crate) unsafe fn slice<'a>(self) -> &'a mut [f32] {
        // SAFETY: valid for writes (`new`); the caller vouches for the rest.
        unsafe { slice::from_raw_parts_mut(self.pointer, self.len) }
    }

    /// Returns an error if an input shares memory with this array, which is `y` of a window.
    pub(crate) fn check_apart<T>(&self, name: &str, input: &[T]) -> Result<(), Failure> {
        self.check_apart_from(name, input.as_ptr() as usize, size_of_val(input))
    }

    /// Returns an error if another output shares memory with this array.
    pub(crate) fn check_apart_from_output(&self, name: &str, other: Option<&Self>) -> Result<(), Failure> {
        other.map_or(Ok(()), |other| {
            self.check_apart_from(name, other.pointer as usize, size_of::<f32>() * other.len)
        })
    }

    fn check_apart_from(&self, name: &str, other: usize, bytes: usize) -> Result<(), Failure> {
        let (own, own_bytes) = (self.pointer as usize, size_of::<f32>() * self.len);
        match other.saturating_add(bytes) <= own || own.saturating_add(own_bytes) <= other {
            true => Ok(()),
            false => Err(Failure::argument(format!("y shares memory with {name}: give two separate arrays"))),
        }
    }
}

/// Returns a text of the caller.
///
/// # Safety
/// `pointer` is null, or points to a text that ends with NUL and stays while the result is used.
pub(crate) unsafe fn text<'a>(name: &str, pointer: *const c_char) -> Result<&'a CStr, Failure> {
    match pointer.is_null() {
        true => Err(Failure::null(name, "a text")),
        // SAFETY: the caller's obligation.
        false => Ok(unsafe { CStr::from_ptr(pointer) }),
    }
}

/// Returns a path of the caller: bytes on Unix, UTF-8 elsewhere.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn path<'a>(pointer: *const c_char) -> Result<&'a Path, Failure> {
    // SAFETY: the caller's obligation.
    let text = unsafe { text("path", pointer)? };
    #[cfg(unix)]
    return Ok(Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(text.to_bytes())));
    #[cfg(not(unix))]
    text.to_str()
        .map(Path::new)
        .map_err(|_| Failure::argument("path: found bytes that are not UTF-8, expected UTF-8"))
}

/// Writes a result through a pointer.
///
/// # Safety
/// `pointer` is null, or valid for a write.
pub(crate) unsafe fn put<T>(
    name: &str,
    pointer: *mut T,
    value: impl FnOnce() -> Result<T, Failure>,
) -> Result<(), Failure> {
    check(name, pointer, 1)?;
    let value = value()?;
    // SAFETY: not null and aligned; the rest is the caller's obligation.
    unsafe { pointer.write(value) };
    Ok(())
}
