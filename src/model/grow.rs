//! Adds symbols to a trained model.

use super::Model;
use crate::{Error, ModelSettings, Result, model::ModelConfig};

impl Model {
    /// Returns this model with a larger vocabulary of V = `vocabulary` symbols. `places[id]` is the
    /// new id of symbol `id` of this model, in ascending order.
    ///
    /// The weights of new symbols are drawn with the random seed `seed` and the settings `init` and
    /// `init-scale`; all other weights keep their values. The weights of a symbol are its rows of
    /// `embedding.weight`, `head.weight` and `head.bias`, or with one-hot input its column of
    /// `rnn.weight_ih_l0` (and of `rnn.weight_ih_l0_reverse`).
    ///
    /// # Errors
    /// [`Error::Setting`] in these cases:
    ///
    /// 1. `settings` are of a different model.
    /// 2. `places` does not have one ascending id for each symbol of this model.
    /// 3. The shape of another tensor depends on V: one-hot input with `residual`, `highway` or a
    ///    custom cell.
    pub fn grown(
        &self,
        settings: &ModelSettings,
        places: &[usize],
        vocabulary: usize,
        seed: u64,
    ) -> Result<Self> {
        self.check_places(places, vocabulary)?;
        let mut grown = Self::drawn(settings, ModelConfig::new(settings, vocabulary)?, seed)?;
        for (entry, old) in self.parameters.iter() {
            let first = ["rnn.weight_ih_l0", "rnn.weight_ih_l0_reverse"].contains(&entry.name.as_str());
            let columns = first && self.config.embedding.is_none();
            let rows = matches!(entry.name.as_str(), "embedding.weight" | "head.weight" | "head.bias");
            let found = grown.parameters.layout.find(&entry.name);
            let fits = found.is_some_and(|found| found.shape == entry.shape) || rows || columns;
            let new = grown.parameters.get_mut(&entry.name).filter(|_| fits);
            let new = new.ok_or_else(|| fixed_shape(&entry.name))?;
            match (rows, columns) {
                (true, _) => copy_rows(old, new, places),
                (_, true) => copy_columns(old, new, places, vocabulary),
                _ => new.copy_from_slice(old),
            }
        }
        Ok(grown)
    }

    fn check_places(&self, places: &[usize], vocabulary: usize) -> Result<()> {
        let symbols = self.config.vocabulary;
        let ascending = places.is_sorted_by(|a, b| a < b);
        if places.len() == symbols && ascending && places.last().is_none_or(|last| *last < vocabulary) {
            return Ok(());
        }
        let expected =
            format!("give the {symbols} symbols of the model ascending places below {vocabulary}, one each");
        Err(Error::setting("vocabulary", format!("{} places", places.len()), expected))
    }
}

fn fixed_shape(tensor: &str) -> Error {
    let expected = format!(
        "the shape of {tensor} depends on the number of symbols, so the model takes no new ones; remove them from the text, or \
         pass --unknown skip or --unknown replace"
    );
    Error::setting("vocabulary", "new symbols", expected)
}

/// Copies the rows of a tensor [V, n].
fn copy_rows(old: &[f32], new: &mut [f32], places: &[usize]) {
    let width = old.len() / places.len().max(1);
    for (row, &place) in old.chunks_exact(width.max(1)).zip(places) {
        new[place * width..][..width].copy_from_slice(row);
    }
}

/// Copies the columns of a tensor [n, V].
fn copy_columns(old: &[f32], new: &mut [f32], places: &[usize], vocabulary: usize) {
    for (old, new) in old.chunks_exact(places.len()).zip(new.chunks_exact_mut(vocabulary)) {
        old.iter().zip(places).for_each(|(value, &place)| new[place] = *value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InputKind, Layer};

    const PLACES: [usize; 3] = [1, 2, 4];

    fn settings(input: InputKind) -> ModelSettings {
        ModelSettings { hidden: 4, embedding: Some(3), input, ..ModelSettings::default() }
    }

    #[test]
    fn known_symbols_keep_their_weights_and_new_symbols_are_drawn() {
        let both = Layer { bidirectional: true, ..Layer::gru(4) };
        let stacks = [(InputKind::Embedding, vec![]), (InputKind::OneHot, vec![])];
        for (input, stack) in stacks.into_iter().chain([(InputKind::OneHot, vec![both])]) {
            let settings = ModelSettings { stack, ..settings(input) };
            let model = Model::new(&settings, 3, 1).unwrap();
            let grown = model.grown(&settings, &PLACES, 5, 9).unwrap();
            let drawn = Model::new(&settings, 5, 9).unwrap();
            for (entry, values) in grown.parameters().iter() {
                let [was, fresh] = [&model, &drawn].map(|model| model.parameters().get(&entry.name).unwrap());
                let columns = input == InputKind::OneHot && entry.name.starts_with("rnn.weight_ih_l0");
                let rows = ["embedding.weight", "head.weight", "head.bias"].contains(&entry.name.as_str());
                for (at, value) in values.iter().enumerate() {
                    let width = values.len() / 5;
                    let (symbol, rest) = if columns { (at % 5, at / 5) } else { (at / width, at % width) };
                    let expected = match PLACES.iter().position(|place| *place == symbol) {
                        _ if !rows && !columns => was[at],
                        None => fresh[at],
                        Some(id) if columns => was[rest * 3 + id],
                        Some(id) => was[id * width + rest],
                    };
                    assert_eq!(*value, expected, "{} at {at}", entry.name);
                }
            }
        }
    }

    #[test]
    fn invalid_places_are_an_error() {
        let settings = settings(InputKind::Embedding);
        let model = Model::new(&settings, 3, 1).unwrap();
        for places in [&[0, 1][..], &[0, 2, 1], &[0, 1, 5], &[0, 1, 1]] {
            let message = model.grown(&settings, places, 5, 1).unwrap_err().to_string();
            assert!(message.contains("the 3 symbols of the model ascending places below 5"), "{message}");
        }
    }

    #[test]
    fn a_layer_as_wide_as_the_vocabulary_is_an_error() {
        let stack = vec![Layer { residual: true, ..Layer::gru(3) }];
        let settings = ModelSettings { stack, ..settings(InputKind::OneHot) };
        let message =
            Model::new(&settings, 3, 1).unwrap().grown(&settings, &PLACES, 5, 1).unwrap_err().to_string();
        assert!(message.starts_with("residual = true is invalid"), "{message}");
    }
}
