//! Generates a sequence with a model.

use super::{DrawPosition, Sampling, Scratch};
use crate::exec::{Engine, Stream};
use crate::{Error, Result, Unknown, corpus::Vocabulary, model::Model};
use std::sync::Arc;

/// Generates a sequence symbol by symbol: each is drawn from the logits of the model and fed back
/// to it.
#[derive(Debug)]
pub struct Generator {
    stream: Stream,
    vocabulary: Vocabulary,
    sampling: Sampling,
    position: DrawPosition,
    /// The symbol to feed before the next draw: the last of the prompt, or the last that was drawn.
    pending: Option<u32>,
    scratch: Scratch,
}

impl Generator {
    /// Creates a generator with a zero state and a copy of the vocabulary. `sequence` numbers the
    /// sequences that share a seed; each has different draws.
    ///
    /// # Errors
    /// [`Error::Setting`] for an invalid sampling, and for a vocabulary of another size than the
    /// model's.
    pub fn new(
        model: impl Into<Arc<Model>>,
        vocabulary: &Vocabulary,
        sampling: Sampling,
        sequence: u64,
    ) -> Result<Self> {
        Self::of(&Engine::new(model, Some(1))?, vocabulary, sampling, sequence)
    }

    /// Creates a generator that shares the weights and the threads of an engine, otherwise as
    /// [`Generator::new`]. Several threads make the steps of a large model faster, and change no
    /// result.
    ///
    /// # Errors
    /// As for [`Generator::new`].
    pub fn of(engine: &Engine, vocabulary: &Vocabulary, sampling: Sampling, sequence: u64) -> Result<Self> {
        sampling.validate()?;
        let config = engine.model().config();
        let symbols = config.vocabulary;
        config.check_predicts_symbols()?;
        if vocabulary.len() != symbols {
            let expected =
                format!("the model was built for {symbols} symbols; take the vocabulary of its checkpoint");
            return Err(Error::setting("vocabulary", vocabulary.len(), expected));
        }
        let position = DrawPosition { sequence, index: 0 };
        let (stream, vocabulary) = (Stream::of(engine)?, vocabulary.clone());
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
        let refused = Generator::new(model.clone(), &words, Sampling::default(), 0).unwrap_err().to_string();
        assert!(
            refused.contains("vocabulary = 1 is invalid: the model was built for 4 symbols"),
            "{refused}"
        );
    }

    #[test]
    fn sequences_differ_and_are_repeatable() {
        let (model, words) = (model(), words());
        let write = |sequence| {
            text(&mut Generator::new(model.clone(), &words, Sampling::default(), sequence).unwrap(), 30)
        };
        assert_eq!(write(0), write(0));
        assert_ne!(write(0), write(1));
    }

    #[test]
    fn no_prompt_is_a_newline_and_prompts_may_be_fed_in_parts() {
        let (model, words) = (model(), words());
        let write = |prompts: &[&str]| {
            let mut generator = Generator::new(model.clone(), &words, Sampling::default(), 3).unwrap();
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
            let mut generator = Generator::new(model.clone(), &ids, Sampling::default(), 0).unwrap();
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
        let mut generator = Generator::new(model.clone(), &words, Sampling::default(), 0).unwrap();
        assert!(generator.prompt("ab?").unwrap_err().to_string().contains('?'));
        let mut untouched = Generator::new(model.clone(), &words, Sampling::default(), 0).unwrap();
        assert_eq!(text(&mut generator, 10), text(&mut untouched, 10));
    }
}
