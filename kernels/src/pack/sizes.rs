//! Sizes of stored vectors and packed weights, and the checks of sizes and lengths.

use core::ops::Range;

/// Returns the floats of a stored vector of `units` values: the next multiple of sixteen.
pub const fn padded(units: usize) -> usize {
    units.next_multiple_of(16)
}

/// Returns the product of some sizes.
///
/// # Panics
/// If it overflows. A length that wrapped around must not pass for the length of a slice.
pub(crate) fn product<const N: usize>(sizes: [usize; N]) -> usize {
    let product = sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    product.unwrap_or_else(|| panic!("sizes with a product too large for any memory: {sizes:?}"))
}

/// Checks the length of a slice.
pub(crate) fn check_len(name: &str, found: usize, expected: usize) {
    assert!(found == expected, "{name} has length {found}, expected {expected}");
}

/// Returns the number of values of k in some pieces of a row of `width` floats.
///
/// # Panics
/// If a piece reaches beyond the row.
pub(crate) fn depth_of(pieces: &[Range<usize>], width: usize) -> usize {
    let end = pieces.iter().map(|piece| piece.start.max(piece.end)).max().unwrap_or(0);
    assert!(end <= width, "pieces end at {end}, expected at most {width}, the floats of a row");
    let depth = pieces.iter().try_fold(0usize, |depth, piece| depth.checked_add(piece.len()));
    depth.unwrap_or_else(|| panic!("{} pieces with a length too large for any memory", pieces.len()))
}

/// Returns the floats from one k to the next, and from one vector to the next, in a panel of
/// `width` vectors and `depth` values of k. Panels are deep from `deep` values of k on.
#[inline(always)]
pub(crate) fn strides(width: usize, depth: usize, deep: usize) -> [usize; 2] {
    if depth < deep { [width * 16, 16] } else { [16, depth * 16] }
}
