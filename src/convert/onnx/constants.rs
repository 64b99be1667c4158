//! Slices and permutations of constants.

use super::{axes, tensor::MOST_INTS, value::Dim};

/// A list of integers that describe shapes, which is short.
pub(super) fn limited(dims: impl Iterator<Item = Dim>) -> Result<Vec<Dim>, String> {
    let dims: Vec<Dim> = dims.take(MOST_INTS + 1).collect();
    match dims.len() <= MOST_INTS {
        true => Ok(dims),
        false => Err(format!("found more than {MOST_INTS} integers")),
    }
}

/// The range of a slice with a step of 1 along an axis of `size`.
pub(super) fn range(size: usize, start: i64, end: i64) -> std::ops::Range<usize> {
    let clamped = |position: i64| {
        let from_start = if position < 0 { position.saturating_add_unsigned(size as u64) } else { position };
        usize::try_from(from_start).map_or(0, |position| position.min(size))
    };
    let (start, end) = (clamped(start), clamped(end));
    start..end.max(start)
}

/// The items of a list from `start` to `end`.
pub(super) fn sliced<T: Clone>(items: &[T], start: i64, end: i64) -> Vec<T> {
    items[range(items.len(), start, end)].to_vec()
}

/// A part of an array along one axis.
pub(super) fn sliced_floats(
    shape: &[usize],
    values: &[f32],
    axis: usize,
    range: std::ops::Range<usize>,
) -> (Vec<usize>, Vec<f32>) {
    let inner: usize = shape[axis + 1..].iter().product();
    let block = shape[axis] * inner;
    let parts = values.chunks_exact(block.max(1));
    let part = parts.flat_map(|part| &part[range.start * inner..range.end * inner]).copied().collect();
    let mut shape = shape.to_vec();
    shape[axis] = range.len();
    (shape, part)
}

/// An array with its axes in another order.
pub(super) fn transposed_floats(
    shape: &[usize],
    values: &[f32],
    perm: Option<&[i64]>,
) -> Result<(Vec<usize>, Vec<f32>), String> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let pairs: Vec<(usize, usize)> = shape.iter().copied().zip(strides).collect();
    let pairs = axes::transposed(&pairs, perm)?;
    let mut result = Vec::with_capacity(values.len());
    if !values.is_empty() {
        append(&pairs, values, 0, &mut result);
    }
    Ok((pairs.into_iter().map(|(size, _)| size).collect(), result))
}

/// Appends the values of all positions along the remaining axes, at most eight of them.
fn append(axes: &[(usize, usize)], values: &[f32], at: usize, result: &mut Vec<f32>) {
    match axes {
        [] => result.push(values[at]),
        [(size, stride), rest @ ..] => {
            (0..*size).for_each(|index| append(rest, values, at + index * stride, result))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_and_transposes_have_the_values_of_numpy() {
        let values: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let (shape, part) = sliced_floats(&[2, 3, 2], &values, 1, range(3, -2, i64::MAX));
        assert_eq!((shape, part), (vec![2, 2, 2], vec![2.0, 3.0, 4.0, 5.0, 8.0, 9.0, 10.0, 11.0]));
        let (shape, moved) = transposed_floats(&[2, 3, 2], &values, Some(&[1, 0, 2])).unwrap();
        assert_eq!((shape, &moved[..4]), (vec![3, 2, 2], &[0.0, 1.0, 6.0, 7.0][..]));
        assert_eq!(range(5, 1, -1), 1..4);
        assert_eq!(range(5, 4, 2), 4..4);
        assert_eq!(range(0, i64::MIN, i64::MAX), 0..0);
    }
}
