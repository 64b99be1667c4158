//! Sampling: logits to symbols.
//!
//! A draw is a pure function of the logits, the random seed, the number of the sequence and the
//! position in it. The softmax is computed in f64 with the exponential of `libm` and summed in a
//! fixed order, so the same logits give the same symbol on every platform.

mod generator;

use crate::{
    Result,
    error::require,
    random::{DrawPurpose, Draws},
};

pub use generator::Generator;

/// The way the next symbol is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits. 0 takes the most likely symbol.
    pub temperature: f32,
    /// Draws only among the K most likely symbols.
    pub top_k: Option<usize>,
    /// Draws only among the most likely symbols that together reach this probability.
    pub top_p: Option<f32>,
    /// Random seed.
    pub seed: u64,
}

impl Default for Sampling {
    /// Draws from the distribution of the model.
    fn default() -> Self {
        Self { temperature: 1.0, top_k: None, top_p: None, seed: 1 }
    }
}

/// The position of a draw among all draws of a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrawPosition {
    /// The number of the sequence, if several are drawn.
    pub sequence: u64,
    /// The number of the symbol in its sequence.
    pub index: u64,
}

impl DrawPosition {
    fn draws(self, seed: u64) -> Draws {
        let (high, low) = ((self.sequence >> 32) as u32, self.sequence as u32);
        Draws::new(seed, DrawPurpose::Sample, high, self.index).at_row(low)
    }
}

/// Memory that draws reuse, so that only the first allocates.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    candidates: Vec<WeightedId>,
}

#[derive(Clone, Copy, Debug)]
struct WeightedId {
    id: u32,
    /// Relative to the weight of the most likely id, which is 1.
    weight: f64,
}

impl Sampling {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the value that is invalid.
    pub fn validate(&self) -> Result<()> {
        let is_temperature = self.temperature >= 0.0 && self.temperature.is_finite();
        let expected = "give a number above 0, or 0 for the likeliest symbol";
        require(is_temperature, "temperature", self.temperature, expected)?;
        require(self.top_k != Some(0), "top-k", 0, "give a whole number of at least 1")?;
        let share = self.top_p.unwrap_or(1.0);
        require(share > 0.0 && share <= 1.0, "top-p", share, "give a probability above 0 and at most 1")
    }

    /// Draws symbol number `index` of the first sequence from its logits `[V]`.
    pub fn draw(&self, logits: &[f32], index: u64, scratch: &mut Scratch) -> u32 {
        self.draw_at(logits, DrawPosition { sequence: 0, index }, scratch)
    }

    /// Draws the symbol at a position from its logits `[V]`.
    ///
    /// Among symbols with equal logits the one with the lowest id is the most likely. A logit that
    /// is not a number counts as minus infinity, which is not drawn if there is another symbol.
    /// Plus infinity is always drawn. If no symbol can be drawn, returns 0.
    pub fn draw_at(&self, logits: &[f32], position: DrawPosition, scratch: &mut Scratch) -> u32 {
        let (likeliest, most) = argmax(logits);
        if self.temperature == 0.0 || !most.is_finite() {
            return likeliest;
        }
        let candidates = &mut scratch.candidates;
        candidates.clear();
        candidates.extend((0..).zip(logits).filter(|(_, logit)| !logit.is_nan()).map(|(id, &logit)| {
            let weight = libm::exp((f64::from(logit) - f64::from(most)) / f64::from(self.temperature));
            WeightedId { id, weight }
        }));
        self.keep_likeliest(logits, candidates);
        let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
        let mut draws = position.draws(self.seed);
        pick(candidates, draws.uniform_f64() * total).unwrap_or(likeliest)
    }

    /// Keeps the candidates that top-k and then top-p allow, but at least one. Sorts by logits,
    /// because a high temperature gives different logits equal weights.
    fn keep_likeliest(&self, logits: &[f32], candidates: &mut Vec<WeightedId>) {
        let count = self.top_k.unwrap_or(usize::MAX);
        let share = self.top_p.filter(|&share| share < 1.0);
        if count >= candidates.len() && share.is_none() {
            return;
        }
        // Adding zero turns -0.0 into 0.0, so that the two compare as equal.
        let logit = |candidate: &WeightedId| logits[candidate.id as usize] + 0.0;
        candidates.sort_unstable_by(|a, b| logit(b).total_cmp(&logit(a)).then(a.id.cmp(&b.id)));
        candidates.truncate(count.max(1));
        if let Some(share) = share {
            let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
            let mut sum = 0.0;
            let reached = candidates.iter().position(|candidate| {
                sum += candidate.weight;
                sum >= total * f64::from(share)
            });
            candidates.truncate(reached.map_or(candidates.len(), |last| last + 1));
        }
    }
}

/// The first of the largest logits, or minus infinity if there is none.
fn argmax(logits: &[f32]) -> (u32, f32) {
    let numbered = (0..).zip(logits.iter().copied());
    numbered.fold((0, f32::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best })
}

/// The first candidate at which the sum of the weights exceeds `target`.
fn pick(candidates: &[WeightedId], target: f64) -> Option<u32> {
    let mut sum = 0.0;
    let hit = candidates.iter().find(|candidate| {
        sum += candidate.weight;
        target < sum
    });
    // Rounding may put the target at the very end: then the last candidate with a weight is taken.
    hit.or_else(|| candidates.iter().rfind(|candidate| candidate.weight > 0.0)).map(|candidate| candidate.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling() -> Sampling {
        Sampling::default()
    }

    /// The share of each of V symbols among 20,000 draws.
    fn shares(sampling: &Sampling, logits: &[f32]) -> Vec<f64> {
        let mut counts = vec![0.0; logits.len()];
        let mut scratch = Scratch::default();
        (0..20_000).for_each(|index| counts[sampling.draw(logits, index, &mut scratch) as usize] += 1.0);
        counts.iter().map(|count| count / 20_000.0).collect()
    }

    fn assert_shares(sampling: &Sampling, logits: &[f32], expected: &[f64]) {
        let found = shares(sampling, logits);
        let close = found.iter().zip(expected).all(|(found, &expected)| {
            if expected == 0.0 { *found == 0.0 } else { (found - expected).abs() < 0.015 }
        });
        assert!(close && found.len() == expected.len(), "found {found:?}, expected {expected:?}");
    }

    /// Logits of the probabilities 0.1, 0.4, 0.2, 0.3, shifted.
    fn logits() -> [f32; 4] {
        [0.1f32, 0.4, 0.2, 0.3].map(|p| p.ln() + 50.0)
    }

    #[test]
    fn draws_follow_the_softmax() {
        assert_shares(&sampling(), &logits(), &[0.1, 0.4, 0.2, 0.3]);
        assert_shares(&Sampling { seed: 9, ..sampling() }, &logits(), &[0.1, 0.4, 0.2, 0.3]);
    }

    #[test]
    fn temperature_sharpens_and_flattens() {
        let squares = [1.0, 16.0, 4.0, 9.0].map(|p| p / 30.0);
        assert_shares(&Sampling { temperature: 0.5, ..sampling() }, &logits(), &squares);
        assert_shares(&Sampling { temperature: 1e6, ..sampling() }, &logits(), &[0.25; 4]);
        assert_shares(&Sampling { temperature: 1e-30, ..sampling() }, &logits(), &[0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn temperature_zero_takes_the_most_likely_symbol_with_the_lowest_id() {
        let greedy = Sampling { temperature: 0.0, ..sampling() };
        assert_shares(&greedy, &[1.0, 3.0, 3.0, -1.0], &[0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn top_k_keeps_the_k_most_likely() {
        let top = |k| Sampling { top_k: Some(k), ..sampling() };
        assert_shares(&top(2), &logits(), &[0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0]);
        assert_shares(&top(1), &[1.0, 1.0, 1.0], &[1.0, 0.0, 0.0]);
        assert_eq!(shares(&top(4), &logits()), shares(&sampling(), &logits()));
        assert_eq!(shares(&top(usize::MAX), &logits()), shares(&sampling(), &logits()), "k above V");
    }

    /// At this temperature all weights are 1.
    #[test]
    fn the_most_likely_symbols_are_kept_at_any_temperature() {
        let hot = Sampling { temperature: 8e37, top_k: Some(2), ..sampling() };
        assert_shares(&hot, &[-7.75, 9.75, 1.5, 9.5], &[0.0, 0.5, 0.0, 0.5]);
        assert_shares(&hot, &[0.0, -0.0, 0.0, -1.0], &[0.5, 0.5, 0.0, 0.0]);
        let share = Sampling { top_k: None, top_p: Some(0.25), ..hot };
        assert_shares(&share, &[-7.75, 1.5, 9.75, 9.5], &[0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn top_p_keeps_the_fewest_symbols_that_reach_it() {
        let top = |p| Sampling { top_p: Some(p), ..sampling() };
        assert_shares(&top(0.65), &logits(), &[0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0]);
        assert_shares(&top(0.75), &logits(), &[0.0, 4.0 / 9.0, 2.0 / 9.0, 3.0 / 9.0]);
        assert_shares(&top(1e-9), &logits(), &[0.0, 1.0, 0.0, 0.0]);
        assert_eq!(shares(&top(1.0), &logits()), shares(&sampling(), &logits()));
        let both = Sampling { top_k: Some(2), top_p: Some(0.5), ..sampling() };
        assert_shares(&both, &logits(), &[0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn draws_from_logits_that_are_not_finite_are_defined() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        assert_shares(&sampling(), &[nan, 0.0, -inf, 0.0], &[0.0, 0.5, 0.0, 0.5]);
        assert_shares(&sampling(), &[0.0, inf, nan, inf], &[0.0, 1.0, 0.0, 0.0]);
        assert_shares(&sampling(), &[nan, -inf], &[1.0, 0.0]);
        let narrow = Sampling { top_k: Some(1), top_p: Some(0.5), ..sampling() };
        assert_shares(&narrow, &[nan, -inf, 0.0], &[0.0, 0.0, 1.0]);
        assert_eq!(sampling().draw(&[], 0, &mut Scratch::default()), 0);
    }

    #[test]
    fn a_draw_depends_on_seed_sequence_and_index_alone() {
        let draw = |seed, sequence| -> Vec<u32> {
            let sampling = Sampling { seed, ..sampling() };
            let at = |index| DrawPosition { sequence, index };
            (0..40).map(|i| sampling.draw_at(&logits(), at(i), &mut Scratch::default())).collect()
        };
        assert_eq!(draw(1, 0), draw(1, 0));
        assert_ne!(draw(1, 0), draw(2, 0));
        assert_ne!(draw(1, 0), draw(1, 1));
        assert_ne!(draw(1, 0), draw(1, 1 << 32));
        assert_eq!(draw(1, 0)[..12], [2, 0, 3, 2, 1, 2, 3, 1, 3, 2, 1, 1], "the draws never change");
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let refused = |sampling: Sampling| sampling.validate().expect_err("out of range").to_string();
        sampling().validate().unwrap();
        Sampling { temperature: 0.0, top_k: Some(1), top_p: Some(1.0), ..sampling() }.validate().unwrap();
        for temperature in [-1.0, f32::NAN, f32::INFINITY] {
            let text = refused(Sampling { temperature, ..sampling() });
            assert!(text.starts_with(&format!("temperature = {temperature} is invalid: give")), "{text}");
        }
        assert!(refused(Sampling { top_k: Some(0), ..sampling() }).starts_with("top-k = 0 is invalid"));
        for top_p in [0.0, -0.5, 1.1, f32::NAN] {
            let text = refused(Sampling { top_p: Some(top_p), ..sampling() });
            assert!(text.starts_with(&format!("top-p = {top_p} is invalid")), "{text}");
        }
    }
}
