//! A trained model with further symbols.

use super::{Model, check_stack, init};
use crate::{Error, ModelSettings, Result, model::ModelConfig};

impl Model {
    /// This model with a larger vocabulary. `places[id]` is the id that symbol `id` of this model has there; the weights of the
    /// symbols that it lacked are drawn by the random seed `seed`, as `settings` say (init, init-scale), and all others keep their values. Weights of a
    /// symbol are its rows of `embedding.weight`, `head.weight` and `head.bias`, and with one-hot input its column of
    /// `rnn.weight_ih_l0`.
    ///
    /// # Errors
    /// [`Error::Setting`] when the settings are not those of this model, when `places` does not name a place for each of its
    /// symbols, or when a layer reads the one-hot vector so that its own width depends on V (`residual`, `highway`, a custom cell).
    pub fn grown(
        &self,
        settings: &ModelSettings,
        places: &[usize],
        vocabulary: usize,
        seed: u64,
    ) -> Result<Self> {
        self.check_places(places, vocabulary)?;
        let config = ModelConfig::new(settings, vocabulary)?;
        check_stack(&config, 1.0, [0, 0])?;
        let mut parameters = init::draw(settings, seed, &config);
        for (entry, old) in self.parameters.iter() {
            let shape = config.layout().find(&entry.name).map(|entry| entry.shape.clone());
            let columns = entry.name == "rnn.weight_ih_l0" && self.config.embedding.is_none();
            let rows = matches!(entry.name.as_str(), "embedding.weight" | "head.weight" | "head.bias");
            let fits = shape.as_ref() == Some(&entry.shape) || rows || columns;
            let new = parameters.get_mut(&entry.name).filter(|_| fits);
            let new = new.ok_or_else(|| fixed(&entry.name))?;
            match (rows, columns) {
                (true, _) => copy_rows(old, new, places),
                (_, true) => copy_columns(old, new, places, vocabulary),
                _ => new.copy_from_slice(old),
            }
        }
        Self::with_parameters(config, parameters)
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

fn fixed(tensor: &str) -> Error {
    let expected = format!(
        "the shape of {tensor} depends on the number of symbols, so the model takes no new ones; remove them from the text, or \
         pass --unknown skip or --unknown replace"
    );
    Error::setting("vocabulary", "new symbols", expected)
}

/// [V, n], row by row.
fn copy_rows(old: &[f32], new: &mut [f32], places: &[usize]) {
    let width = old.len() / places.len().max(1);
    for (row, &place) in old.chunks_exact(width.max(1)).zip(places) {
        new[place * width..][..width].copy_from_slice(row);
    }
}

/// [n, V], value by value.
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
    fn old_symbols_keep_their_weights_and_new_ones_are_drawn() {
        for input in [InputKind::Embedding, InputKind::OneHot] {
            let settings = settings(input);
            let model = Model::new(&settings, 3, 1).unwrap();
            let grown = model.grown(&settings, &PLACES, 5, 9).unwrap();
            let drawn = Model::new(&settings, 5, 9).unwrap();
            for (entry, values) in grown.parameters().iter() {
                let [was, fresh] = [&model, &drawn].map(|model| model.parameters().get(&entry.name).unwrap());
                let columns = input == InputKind::OneHot && entry.name == "rnn.weight_ih_l0";
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
    fn places_that_do_not_fit_are_refused() {
        let settings = settings(InputKind::Embedding);
        let model = Model::new(&settings, 3, 1).unwrap();
        for places in [&[0, 1][..], &[0, 2, 1], &[0, 1, 5], &[0, 1, 1]] {
            let told = model.grown(&settings, places, 5, 1).unwrap_err().to_string();
            assert!(told.contains("the 3 symbols of the model ascending places below 5"), "{told}");
        }
    }

    #[test]
    fn a_layer_as_wide_as_the_vocabulary_cannot_grow() {
        let stack = vec![Layer { residual: true, ..Layer::gru(3) }];
        let settings = ModelSettings { stack, ..settings(InputKind::OneHot) };
        let told =
            Model::new(&settings, 3, 1).unwrap().grown(&settings, &PLACES, 5, 1).unwrap_err().to_string();
        assert!(told.starts_with("residual = true is invalid"), "{told}");
    }
}
