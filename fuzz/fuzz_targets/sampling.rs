//! Sampling compared with its definition: sort, keep the k most likely symbols, keep the fewest
//! that reach p, and find the seed's draw in the cumulative probabilities.
//!
//! The drawn symbol must be the one whose interval contains the draw, unless the draw is within a
//! rounding of a border.
#![no_main]

use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use unrolled::random::{DrawPurpose, Draws};
use unrolled::sample::{DrawPosition, Sampling, Scratch};

/// Bound of the differences between sums of V exponentials in another order, or from another
/// library.
const ROUNDING: f64 = 1e-9;

#[derive(Debug)]
struct Case {
    sampling: Sampling,
    place: DrawPosition,
    logits: Vec<f32>,
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let temperature = match u.int_in_range(0..=4)? {
            0 => 0.0,
            1 => 1.0,
            2 => f32::from(u.int_in_range(1..=400u16)?) / 100.0,
            _ => u.arbitrary()?,
        };
        let top_k = u.arbitrary::<Option<u8>>()?.map(usize::from);
        let top_p = match u.int_in_range(0..=2)? {
            0 => None,
            1 => Some(f32::from(u.int_in_range(0..=100u8)?) / 100.0),
            _ => Some(u.arbitrary()?),
        };
        let place = DrawPosition { sequence: u.arbitrary()?, index: u.arbitrary()? };
        let sampling = Sampling { temperature, top_k, top_p, seed: u.arbitrary()? };
        let mut logits = Vec::new();
        while !u.is_empty() {
            logits.push(logit(u)?);
        }
        Ok(Self { sampling, place, logits })
    }
}

/// Mostly logits like a model's, with many ties; otherwise any bits.
fn logit(u: &mut Unstructured<'_>) -> Result<f32> {
    Ok(match u.arbitrary::<u8>()? {
        byte @ 0..=191 => f32::from(i16::from(byte) - 96) / 8.0,
        192..=199 => f32::NAN,
        200..=203 => f32::INFINITY,
        204..=215 => f32::NEG_INFINITY,
        216..=227 => f32::MAX,
        _ => f32::from_bits(u.arbitrary()?),
    })
}

fuzz_target!(|case: Case| {
    let Case { sampling, place, logits } = &case;
    let valid = (sampling.temperature >= 0.0 && sampling.temperature < f32::INFINITY)
        && sampling.top_k != Some(0)
        && sampling.top_p.is_none_or(|p| p > 0.0 && p <= 1.0);
    assert_eq!(sampling.validate().is_ok(), valid, "{sampling:?}");
    if !valid {
        return;
    }
    let mut scratch = Scratch::default();
    let id = sampling.draw_at(logits, *place, &mut scratch);
    assert_eq!(id, sampling.draw_at(logits, *place, &mut scratch), "the same draw from used memory");
    assert!(logits.is_empty() && id == 0 || (id as usize) < logits.len());
    check(&case, id);
});

fn check(case: &Case, id: u32) {
    let Case { sampling, place, logits } = case;
    let ranked = ranked(logits);
    let Some(&likeliest) = ranked.first() else { return assert_eq!(id, 0, "there is no symbol to draw") };
    let most = f64::from(logits[likeliest]);
    if sampling.temperature == 0.0 || !most.is_finite() {
        return assert_eq!(id as usize, likeliest, "the likeliest, and the first of equals");
    }
    let temperature = f64::from(sampling.temperature);
    let weight = |id: &usize| ((f64::from(logits[*id]) - most) / temperature).exp();
    let kept = &ranked[..sampling.top_k.unwrap_or(usize::MAX).min(ranked.len())];
    let total: f64 = kept.iter().map(weight).sum();
    let share = sampling.top_p.filter(|&p| p < 1.0).map(f64::from);
    // If the sum reaches p within a rounding, two cuts are correct.
    let cuts = [-ROUNDING, ROUNDING].map(|slack| cut(kept, &weight, share.map(|p| total * (p + slack))));
    let drawn = (cuts[0]..=cuts[1]).any(|count| {
        let mut allowed = kept[..count].to_vec();
        let sorts = share.is_some() || sampling.top_k.is_some_and(|k| k < ranked.len());
        if !sorts {
            allowed.sort_unstable();
        }
        may_be_drawn(&allowed, &weight, uniform(sampling.seed, *place), id as usize)
    });
    assert!(drawn, "{id} was drawn, of {kept:?}, the first {cuts:?}");
}

/// Returns the ids that can be drawn, the most likely first, the lowest id first among equals.
fn ranked(logits: &[f32]) -> Vec<usize> {
    let mut ids: Vec<usize> = (0..logits.len()).filter(|&id| !logits[id].is_nan()).collect();
    if ids.iter().all(|&id| logits[id] == f32::NEG_INFINITY) {
        ids.clear();
    }
    ids.sort_by(|&a, &b| logits[b].partial_cmp(&logits[a]).expect("none is NaN"));
    ids
}

/// Returns the number of most likely symbols that reach a sum.
fn cut(kept: &[usize], weight: &impl Fn(&usize) -> f64, sum: Option<f64>) -> usize {
    let Some(wanted) = sum else { return kept.len() };
    let mut sum = 0.0;
    let reached = kept.iter().position(|id| {
        sum += weight(id);
        sum >= wanted
    });
    reached.map_or(kept.len(), |last| last + 1)
}

fn uniform(seed: u64, place: DrawPosition) -> f64 {
    let (high, low) = ((place.sequence >> 32) as u32, place.sequence as u32);
    Draws::new(seed, DrawPurpose::Sample, high, place.index).at_row(low).uniform_f64()
}

/// Returns whether the draw `u` is in the interval of `id`, within a rounding.
fn may_be_drawn(allowed: &[usize], weight: &impl Fn(&usize) -> f64, u: f64, id: usize) -> bool {
    let total: f64 = allowed.iter().map(weight).sum();
    let Some(place) = allowed.iter().position(|other| *other == id) else { return false };
    let before: f64 = allowed[..place].iter().map(weight).sum();
    let stretch = before / total - ROUNDING..=(before + weight(&id)) / total + ROUNDING;
    weight(&id) > 0.0 && stretch.contains(&u)
}
