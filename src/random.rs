//! Counter-based randomness: every draw is a pure function of (seed, purpose, layer, step, row).
//!
//! No state is consumed. The order in which threads, steps or layers draw cannot change their
//! draws, and a resumed run needs no generator state.
//!
//! The generator is ChaCha with 8 rounds ([Bernstein
//! 2008](https://cr.yp.to/chacha/chacha-20080128.pdf)). Seed, purpose and layer are its key, the
//! step is its stream number, and the row is the high part of its 64-bit block counter. A row has
//! 2^32 words before the words of the next row.
//!
//! Bits become numbers by arithmetic that every platform rounds in the same way. Logarithms, sines
//! and cosines come from `libm`.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::f64::consts::TAU;

/// The purpose of a draw. Two purposes never share a draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawPurpose {
    /// Initial parameters. The step is the number of the tensor in its layer.
    Init,
    /// Dropout masks.
    Dropout,
    /// Sampling. The step is the position; layer and row are the number of the sequence.
    Sample,
    /// Positions of training windows.
    Windows,
}

impl DrawPurpose {
    /// The word in the key. It never changes, because the results of a run depend on it.
    fn word(self) -> u32 {
        match self {
            Self::Init => 1,
            Self::Dropout => 2,
            Self::Sample => 3,
            Self::Windows => 4,
        }
    }
}

/// Creates the generator with this seed and purpose in its key, at the start of stream `stream`.
pub(crate) fn generator(seed: u64, purpose: [u8; 8], stream: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&purpose);
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(stream);
    generator
}

/// A sequence of draws with its own position among all draws.
#[derive(Clone, Debug)]
pub struct Draws {
    generator: ChaCha8Rng,
    /// The second normal of the last Box-Muller pair.
    spare: Option<f64>,
}

impl Draws {
    /// Creates the draws of row 0.
    pub fn new(seed: u64, purpose: DrawPurpose, layer: u32, step: u64) -> Self {
        let purpose = u64::from(layer) << 32 | u64::from(purpose.word());
        Self { generator: generator(seed, purpose.to_le_bytes(), step), spare: None }
    }

    /// Moves to the start of the draws of row `row`.
    pub fn at_row(mut self, row: u32) -> Self {
        self.generator.set_word_pos(u128::from(row) << 32);
        self.spare = None;
        self
    }

    /// Returns 32 random bits.
    pub fn word(&mut self) -> u32 {
        self.generator.next_u32()
    }

    /// Fills `out` with random words.
    pub fn fill(&mut self, out: &mut [u32]) {
        out.fill_with(|| self.generator.next_u32());
    }

    /// Returns a uniform number in [0, 1), a multiple of 2^-24.
    pub fn uniform(&mut self) -> f32 {
        (self.word() >> 8) as f32 * (1.0 / (1u32 << 24) as f32)
    }

    /// Returns a uniform number in [0, 1), a multiple of 2^-53.
    pub fn uniform_f64(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Returns a normal number with mean 0 and variance 1
    /// ([Box and Muller 1958](https://doi.org/10.1214/aoms/1177706645)).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // 1 - u is in (0, 1], where the logarithm is finite.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform_f64()));
        let (sine, cosine) = libm::sincos(TAU * self.uniform_f64());
        self.spare = Some(radius * sine);
        radius * cosine
    }
}

/// The position of a dropout mask. The mask depends on nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskPosition {
    /// The random seed of the run.
    pub seed: u64,
    /// The layer whose output the mask drops.
    pub layer: u32,
    /// The number of steps since the start of the run: optimizer step times T, plus the step in the
    /// window.
    pub step: u64,
    /// The batch row.
    pub row: u32,
}

/// Fills `out` `[H]` with a dropout mask: `scale` with probability `keep`, otherwise 0. In training
/// `scale` is 1 / `keep`, so that the expected activation does not change.
///
/// Each unit uses 16 random bits, so `keep` is rounded to a multiple of 2^-16.
pub fn dropout_mask(position: MaskPosition, keep: f32, scale: f32, out: &mut [f32]) {
    let threshold = (f64::from(keep) * 65536.0 + 0.5) as u32;
    let mut draws =
        Draws::new(position.seed, DrawPurpose::Dropout, position.layer, position.step).at_row(position.row);
    for pair in out.chunks_mut(2) {
        let word = draws.word();
        for (value, bits) in pair.iter_mut().zip([word & 0xffff, word >> 16]) {
            *value = if bits < threshold { scale } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: MaskPosition = MaskPosition { seed: 7, layer: 1, step: 1000, row: 3 };

    fn draws() -> Draws {
        Draws::new(1, DrawPurpose::Init, 0, 0)
    }

    #[test]
    fn the_draws_keep_their_bits() {
        let mut far = Draws::new(0xdead_beef_0123_4567, DrawPurpose::Windows, 5, 1 << 40).at_row(77);
        assert_eq!([(); 4].map(|()| far.word()), [3366073455, 3137313271, 4007527418, 1202143819]);
        assert_eq!(draws().uniform(), 0.3468246);
        assert_eq!(draws().uniform_f64(), 0.23552759232624065);
        assert_eq!(draws().normal(), 0.35193371303857);
        let mut mask = [0.0; 8];
        dropout_mask(POSITION, 0.5, 2.0, &mut mask);
        assert_eq!(mask, [0.0, 0.0, 2.0, 2.0, 2.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn every_coordinate_changes_the_draw() {
        let mut positions = vec![
            draws(),
            Draws::new(2, DrawPurpose::Init, 0, 0),
            Draws::new(1, DrawPurpose::Dropout, 0, 0),
            Draws::new(1, DrawPurpose::Sample, 0, 0),
            Draws::new(1, DrawPurpose::Windows, 0, 0),
            Draws::new(1, DrawPurpose::Init, 1, 0),
            Draws::new(1, DrawPurpose::Init, 0, 1),
            draws().at_row(1),
            draws().at_row(u32::MAX),
        ];
        let mut words: Vec<u32> = positions.iter_mut().map(Draws::word).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), positions.len());
    }

    #[test]
    fn a_row_does_not_depend_on_earlier_draws() {
        let mut used = draws();
        used.normal();
        used.fill(&mut [0; 1000]);
        let (mut again, mut fresh) = (used.at_row(9), draws().at_row(9));
        assert_eq!([(); 3].map(|()| again.normal()), [(); 3].map(|()| fresh.normal()));
    }

    #[test]
    fn fill_gives_the_next_words() {
        let (mut filled, mut one) = ([0; 100], draws());
        draws().fill(&mut filled);
        assert!(filled.iter().all(|&word| word == one.word()));
    }

    #[test]
    fn uniform_and_normal_numbers_have_the_expected_moments() {
        let mut draws = draws();
        let count = 200_000;
        let moments = |mut draw: Box<dyn FnMut() -> f64>| {
            let values: Vec<f64> = (0..count).map(|_| draw()).collect();
            [1, 2, 3, 4].map(|power| values.iter().map(|v| v.powi(power)).sum::<f64>() / f64::from(count))
        };
        let mut other = draws.clone();
        let [mean, square, ..] = moments(Box::new(move || other.uniform().into()));
        assert!((mean - 0.5).abs() < 3e-3 && (square - 1.0 / 3.0).abs() < 3e-3);
        let [mean, square, cube, fourth] = moments(Box::new(move || draws.normal()));
        assert!(mean.abs() < 1e-2 && (square - 1.0).abs() < 2e-2);
        assert!(cube.abs() < 5e-2 && (fourth - 3.0).abs() < 0.1);
    }

    #[test]
    fn uniform_numbers_are_below_one() {
        assert!((u32::MAX >> 8) as f32 * (1.0 / (1u32 << 24) as f32) < 1.0);
        assert!((u64::MAX >> 11) as f64 * (1.0 / (1u64 << 53) as f64) < 1.0);
    }

    #[test]
    fn a_mask_keeps_the_given_share() {
        let mut mask = vec![f32::NAN; 100_001];
        dropout_mask(POSITION, 0.7, 1.0 / 0.7, &mut mask);
        let kept = mask.iter().filter(|&&value| value == 1.0 / 0.7).count();
        assert!(mask.iter().all(|&value| value == 0.0 || value == 1.0 / 0.7));
        assert!((kept as f64 / 100_001.0 - 0.7).abs() < 0.01);
        dropout_mask(POSITION, 1.0, 1.0, &mut mask);
        assert!(mask.iter().all(|&value| value == 1.0));
    }

    #[test]
    fn a_wider_mask_starts_with_the_narrower() {
        let (mut narrow, mut wide) = ([0.0; 5], [0.0; 300]);
        dropout_mask(POSITION, 0.5, 2.0, &mut narrow);
        dropout_mask(POSITION, 0.5, 2.0, &mut wide);
        assert_eq!(narrow, wide[..5]);
    }
}
