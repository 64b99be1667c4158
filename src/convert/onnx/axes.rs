//! The axes of an array after it was transposed, squeezed or reshaped.

use super::value::{Atom, Axis, Dim, Label};

/// Returns the place of an axis that may be counted from the end.
pub(super) fn place(axis: i64, rank: usize) -> Result<usize, String> {
    let from_end = if axis < 0 { axis.checked_add_unsigned(rank as u64) } else { Some(axis) };
    let place = from_end.and_then(|place| usize::try_from(place).ok()).filter(|place| *place < rank);
    place.ok_or_else(|| format!("found axis {axis}, expected one of {rank} axes"))
}

/// Returns the axes in another order, or in reverse without one.
pub(super) fn transposed<T: Clone>(axes: &[T], order: Option<&[i64]>) -> Result<Vec<T>, String> {
    let rank = axes.len();
    let Some(order) = order else { return Ok(axes.iter().rev().cloned().collect()) };
    let places = order.iter().map(|axis| place(*axis, rank)).collect::<Result<Vec<_>, _>>()?;
    let is_complete = (0..rank).all(|axis| places.contains(&axis)) && places.len() == rank;
    match is_complete {
        true => Ok(places.into_iter().map(|place| axes[place].clone()).collect()),
        false => Err(format!("found perm {order:?}, expected each of {rank} axes once")),
    }
}

/// Returns the axes with others of size 1 at `places` of the result.
pub(super) fn unsqueezed<T: Clone>(axes: &[T], places: &[i64], one: &T) -> Result<Vec<T>, String> {
    let rank = axes.len() + places.len();
    if rank > 16 {
        return Err(format!("found {rank} axes, expected at most 16"));
    }
    let places = places.iter().map(|axis| place(*axis, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut rest = axes.iter();
    let all: Vec<T> = (0..rank)
        .filter_map(|axis| if places.contains(&axis) { Some(one) } else { rest.next() })
        .cloned()
        .collect();
    match all.len() == rank && rest.next().is_none() {
        true => Ok(all),
        false => Err(format!("found axes {places:?}, expected different ones")),
    }
}

/// Returns the axes without those at `places`, or without all of size 1.
pub(super) fn squeezed(axes: &[Axis], places: Option<&[i64]>) -> Result<Vec<Axis>, String> {
    let is_one = |axis: &Axis| axis.iter().all(|atom| atom.size == Some(1));
    let Some(places) = places else {
        return Ok(axes.iter().filter(|axis| !is_one(axis)).cloned().collect());
    };
    let places = places.iter().map(|axis| place(*axis, axes.len())).collect::<Result<Vec<_>, _>>()?;
    if let Some(place) = places.iter().find(|place| !is_one(&axes[**place])) {
        return Err(format!("axis {place} is {}, expected an axis of size 1", described(&axes[*place])));
    }
    let kept = axes.iter().enumerate().filter(|(place, _)| !places.contains(place));
    Ok(kept.map(|(_, axis)| axis.clone()).collect())
}

/// The size of an axis, as a shape has it.
pub(super) fn dim(axis: &Axis) -> Dim {
    let is_outer = |atom: &Atom| matches!(atom.label, Label::Outer(_));
    match axis.iter().any(is_outer) {
        true => Dim::Atoms(axis.clone()),
        false => size(axis).map_or(Dim::Unknown, |size| Dim::Known(size as i64)),
    }
}

/// The size of an axis, if it is known.
pub(super) fn size(axis: &[Atom]) -> Option<usize> {
    axis.iter().try_fold(1usize, |product, atom| product.checked_mul(atom.size?))
}

/// Returns the axes of an array that is reshaped to `target`. Each new axis is a run of the old
/// atoms.
pub(super) fn reshaped(axes: &[Axis], target: &[Dim], zero_copies: bool) -> Result<Vec<Axis>, String> {
    let atoms: Vec<Atom> = axes.iter().flatten().copied().collect();
    let is_open = |dim: &Dim| matches!(dim, Dim::Known(-1) | Dim::Unknown);
    let open: Vec<usize> = (0..target.len()).filter(|place| is_open(&target[*place])).collect();
    let (first, last) = match open[..] {
        [] => (target.len(), target.len()),
        [place] => (place, place + 1),
        _ => return Err("found a shape with several unknown sizes".to_owned()),
    };
    let copied = |place: usize| axes.get(place).filter(|_| zero_copies);
    let mut rest = &atoms[..];
    let mut front = Vec::new();
    for (place, dim) in target.iter().enumerate().take(first) {
        let count = taken(rest, dim, copied(place), false)?;
        front.push(rest[..count].to_vec());
        rest = &rest[count..];
    }
    let mut back = Vec::new();
    for (place, dim) in target.iter().enumerate().skip(last).rev() {
        let count = taken(rest, dim, copied(place), true)?;
        back.push(rest[rest.len() - count..].to_vec());
        rest = &rest[..rest.len() - count];
    }
    match open.is_empty() {
        false => front.push(rest.to_vec()),
        true if rest.iter().all(|atom| atom.size == Some(1)) => {}
        true => return Err(format!("the new shape lacks {}", described(rest))),
    }
    front.extend(back.into_iter().rev());
    Ok(front)
}

/// Returns how many atoms at the start (or at the end) make up an axis of size `dim`.
fn taken(atoms: &[Atom], dim: &Dim, copied: Option<&Axis>, from_end: bool) -> Result<usize, String> {
    let run = |count: usize| if from_end { &atoms[atoms.len() - count..] } else { &atoms[..count] };
    let is_same = |labels: &[Atom]| {
        let run = if labels.len() > atoms.len() { &[] } else { run(labels.len()) };
        run.iter().map(|atom| atom.label).eq(labels.iter().map(|atom| atom.label))
    };
    match dim {
        Dim::Atoms(labels) if is_same(labels) => return Ok(labels.len()),
        Dim::Known(0) => {
            if let Some(axis) = copied.filter(|axis| is_same(axis)) {
                return Ok(axis.len());
            }
        }
        Dim::Known(1) => {
            let next = if from_end { atoms.last() } else { atoms.first() };
            let is_one = |atom: &&Atom| atom.size == Some(1) && atom.label != Label::Features;
            return Ok(usize::from(next.filter(is_one).is_some()));
        }
        Dim::Known(wanted) => {
            let fits = |count: &usize| size(run(*count)).is_some_and(|size| size as i64 == *wanted);
            if let Some(count) = (1..=atoms.len()).find(fits) {
                return Ok(count);
            }
        }
        Dim::Atoms(_) | Dim::Unknown => {}
    }
    Err(format!("found a new shape that divides or mixes {}", described(atoms)))
}

/// Describes atoms in messages.
pub(super) fn described(atoms: &[Atom]) -> String {
    let one = |atom: &Atom| {
        let name = match atom.label {
            Label::Outer(place) => format!("axis {place} of the input"),
            Label::Direction => "the directions".to_owned(),
            Label::Features => "the features".to_owned(),
        };
        atom.size.map_or(name.clone(), |size| format!("{name} ({size})"))
    };
    match atoms {
        [] => "an axis of size 1".to_owned(),
        atoms => atoms.iter().map(one).collect::<Vec<_>>().join(" and "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outer(place: usize) -> Atom {
        Atom { label: Label::Outer(place), size: None }
    }

    #[test]
    fn axes_can_be_merged_and_divided_again() {
        let axes = vec![vec![outer(0)], vec![outer(1)], vec![Atom::features(4)]];
        let merged = reshaped(&axes, &[Dim::Known(-1), Dim::Known(4)], true).unwrap();
        assert_eq!(merged, [vec![outer(0), outer(1)], vec![Atom::features(4)]]);
        let target = [Dim::Atoms(vec![outer(0)]), Dim::Atoms(vec![outer(1)]), Dim::Known(4)];
        assert_eq!(reshaped(&merged, &target, true).unwrap(), axes);
        let copied = [Dim::Known(0), Dim::Known(0), Dim::Known(-1)];
        assert_eq!(reshaped(&axes, &copied, true).unwrap(), axes);
        let wrong = [Dim::Atoms(vec![outer(1)]), Dim::Atoms(vec![outer(0)]), Dim::Known(4)];
        assert!(reshaped(&merged, &wrong, true).unwrap_err().contains("divides or mixes"));
        assert!(reshaped(&axes, &[Dim::Known(2), Dim::Known(-1)], true).is_err());
    }

    #[test]
    fn the_directions_and_their_features_are_one_axis() {
        let direction = Atom { label: Label::Direction, size: Some(2) };
        let axes = vec![vec![outer(0)], vec![outer(1)], vec![direction], vec![Atom::features(4)]];
        let target = [Dim::Known(0), Dim::Known(0), Dim::Known(8)];
        let found = reshaped(&axes, &target, true).unwrap();
        assert_eq!(found[2], [direction, Atom::features(4)]);
    }

    #[test]
    fn only_axes_of_size_1_can_be_squeezed() {
        let axes = vec![vec![outer(0)], vec![], vec![Atom::features(4)]];
        assert_eq!(squeezed(&axes, Some(&[1])).unwrap().len(), 2);
        assert_eq!(squeezed(&axes, None).unwrap().len(), 2);
        assert!(squeezed(&axes, Some(&[0])).unwrap_err().contains("axis 0 of the input"));
        assert_eq!(unsqueezed(&axes, &[-1, 0], &vec![]).unwrap().len(), 5);
        assert!(unsqueezed(&axes, &[0, 0], &vec![]).is_err());
        assert_eq!(transposed(&axes, Some(&[2, 0, 1])).unwrap()[0], axes[2]);
        assert!(transposed(&axes, Some(&[0, 0, 1])).is_err());
        assert!(place(3, 3).is_err() && place(i64::MIN, 3).is_err());
    }
}
