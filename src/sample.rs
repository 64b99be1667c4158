//! Sampling: logits to symbols.
//!
//! A draw is a pure function of the logits, the random seed, the number of the sequence and the
//! position in it. The softmax is computed in f64 with the exponential of `libm` and summed in a
//! fixed order, so the same logits give the same symbol on every platform.

use crate::{
    Error, Result, Unknown,
    corpus::Vocabulary,
    error::require,
    exec::Stream,
    model::Model,
    random::{DrawPurpose, Draws},
};
use std::sync::Arc;

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
    /// [`Error::Setting`] names the value that is invalid.
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

/// Generates a sequence symbol by symbol: each is drawn from the logits of the model and fed back
/// to it.
#[derive(Debug)]
pub struct Generator<'m> {
    stream: Stream,
    vocabulary: &'m Vocabulary,
    sampling: Sampling,
    position: DrawPosition,
    /// The symbol to feed before the next draw: the last of the prompt, or the last that was drawn.
    pending: Option<u32>,
    scratch: Scratch,
}

impl<'m> Generator<'m> {
    /// Creates a generator with a zero state. `sequence` numbers the sequences that share a seed;
    /// each has different draws.
    ///
    /// # Errors
    /// [`Error::Setting`] for an invalid sampling, and for a vocabulary of another size than the
    /// model's.
    pub fn new(
        model: impl Into<Arc<Model>>,
        vocabulary: &'m Vocabulary,
        sampling: Sampling,
        sequence: u64,
    ) -> Result<Self> {
        sampling.validate()?;
        let model = model.into();
        let symbols = model.config().vocabulary;
        model.config().check_predicts_symbols()?;
        if vocabulary.len() != symbols {
            let expected =
                format!("the model was built for {symbols} symbols; take the vocabulary of its checkpoint");
            return Err(Error::setting("vocabulary", vocabulary.len(), expected));
        }
        let position = DrawPosition { sequence, index: 0 };
        let stream = Stream::new(model)?;
        Ok(Self { stream, vocabulary, sampling, position, pending: None, scratch: Scratch::default() })
    }

    /// Feeds a text that the model continues. Without a prompt the model starts after a newline, or
    /// after id 0 if its vocabulary has no newline. A model of ids takes decimal ids: `"12 7 9"`.
    ///
    /// # Errors
    /// As for [`Vocabulary::encode`]. Nothing is fed then.
    pub fn prompt(&mut self, text: &str) -> Result<()> {
        self.prompt_as(text, Unknown::Error)
    }

    /// [`Generator::prompt`], with a choice of what to do with unknown symbols.
    ///
    /// # Errors
    /// As for [`Vocabulary::encode_as`]. Nothing is fed then.
    pub fn prompt_as(&mut self, text: &str, unknown: Unknown) -> Result<()> {
        self.feed(&self.vocabulary.encode_as(text, unknown)?)
    }

    /// Feeds ids that the model continues.
    ///
    /// # Errors
    /// [`Error::UnknownId`] for an id that is not below V. Nothing is fed then.
    pub fn prompt_ids(&mut self, ids: &[u32]) -> Result<()> {
        self.vocabulary.check_ids(ids)?;
        self.feed(ids)
    }

    fn feed(&mut self, ids: &[u32]) -> Result<()> {
        for &id in ids {
            if let Some(before) = self.pending.replace(id) {
                self.stream.step(&before)?;
            }
        }
        Ok(())
    }

    /// Draws the next symbol and returns its id.
    pub fn next_id(&mut self) -> u32 {
        let before = self.pending.unwrap_or_else(|| self.start());
        let logits = self.stream.step(&before).expect("ids of the model's own vocabulary");
        let id = self.sampling.draw_at(logits, self.position, &mut self.scratch);
        self.position.index += 1;
        self.pending = Some(id);
        id
    }

    /// The symbol before a sequence without a prompt.
    fn start(&self) -> u32 {
        self.vocabulary.encode("\n").ok().and_then(|ids| ids.first().copied()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, ModelSettings, Settings};

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

    fn words() -> Vocabulary {
        Vocabulary::from_json(r#"["\n","a","b","c"]"#).unwrap()
    }

    fn model() -> Model {
        let settings = Settings {
            model: ModelSettings {
                cell: Cell::Lstm,
                hidden: 8,
                init_scale: Some(0.5),
                ..ModelSettings::default()
            },
            ..Settings::default()
        };
        Model::new(&settings.model, 4, settings.run.seed).unwrap()
    }

    fn text(generator: &mut Generator, length: usize) -> Vec<u32> {
        (0..length).map(|_| generator.next_id()).collect()
    }

    #[test]
    fn a_vocabulary_of_another_model_is_refused() {
        let (model, words) = (model(), Vocabulary::from_json(r#"["a"]"#).unwrap());
        let refused = Generator::new(model.clone(), &words, sampling(), 0).unwrap_err().to_string();
        assert!(
            refused.contains("vocabulary = 1 is invalid: the model was built for 4 symbols"),
            "{refused}"
        );
    }

    #[test]
    fn sequences_differ_and_are_repeatable() {
        let (model, words) = (model(), words());
        let write =
            |sequence| text(&mut Generator::new(model.clone(), &words, sampling(), sequence).unwrap(), 30);
        assert_eq!(write(0), write(0));
        assert_ne!(write(0), write(1));
    }

    #[test]
    fn no_prompt_is_a_newline_and_prompts_may_be_fed_in_parts() {
        let (model, words) = (model(), words());
        let write = |prompts: &[&str]| {
            let mut generator = Generator::new(model.clone(), &words, sampling(), 3).unwrap();
            prompts.iter().for_each(|prompt| generator.prompt(prompt).unwrap());
            (text(&mut generator, 2), generator.stream.state())
        };
        assert_eq!(write(&[]), write(&["\n"]));
        assert_eq!(write(&["abc"]), write(&["a", "", "bc"]));
        assert_ne!(write(&["abc"]).1, write(&["bc"]).1);
    }

    #[test]
    fn ids_are_a_prompt_in_both_forms() {
        let (model, ids) = (model(), Vocabulary::of_ids(4).unwrap());
        let write = |prompt: &dyn Fn(&mut Generator) -> Result<()>| {
            let mut generator = Generator::new(model.clone(), &ids, sampling(), 0).unwrap();
            prompt(&mut generator).map(|()| text(&mut generator, 20))
        };
        let drawn = write(&|generator| generator.prompt_ids(&[3, 0, 2])).unwrap();
        assert_eq!(write(&|generator| generator.prompt("3 0 2")).unwrap(), drawn);
        assert_eq!(write(&|_| Ok(())).unwrap(), write(&|generator| generator.prompt_ids(&[0])).unwrap());
        let refused = write(&|generator| generator.prompt_ids(&[3, 4])).unwrap_err().to_string();
        assert!(refused.contains("found id 4 at position 1, expected ids below"), "{refused}");
    }

    #[test]
    fn an_unknown_symbol_in_a_prompt_feeds_nothing() {
        let (model, words) = (model(), words());
        let mut generator = Generator::new(model.clone(), &words, sampling(), 0).unwrap();
        assert!(generator.prompt("ab?").unwrap_err().to_string().contains('?'));
        let mut untouched = Generator::new(model.clone(), &words, sampling(), 0).unwrap();
        assert_eq!(text(&mut generator, 10), text(&mut untouched, 10));
    }
}
