//! The gradient of one window's loss, for those who bring their own batches or their own update rule.

use super::differentiator::{Pass, Window};
use crate::Result;
use crate::corpus::Batch;
use crate::exec::State;
use crate::model::{Model, Parameters};

/// The mean loss of a window in nats per symbol, the gradient of that mean with respect to every parameter, and the
/// state after the window.
///
/// `batch` holds ids [T, B] and their targets; the window starts from `initial`, or from zero (`batch.fresh` is not
/// asked). Nothing is dropped out. The `bias_hh` of a model with a single bias are constants: their gradient is 0. Uses
/// `threads` threads, or all cores; the bits do not depend on their number. Those who go through many windows, or whose
/// rows have different lengths, take a [`Differentiator`](super::Differentiator).
///
/// # Errors
/// [`Error::Batch`](crate::Error::Batch) when the ids are not T x B or not below V,
/// [`Error::StateShape`](crate::Error::StateShape) when `initial` belongs to another shape of model or has other than B
/// rows, and others when the threads or the forced instruction set cannot be had.
pub fn gradients(
    model: &Model,
    batch: &Batch,
    initial: Option<&State>,
    threads: Option<usize>,
) -> Result<(f64, Parameters, State)> {
    let window = Window { batch, lengths: None, initial, dropout: None };
    window.check(model.config())?;
    let mut pass = Pass::new(model, threads)?;
    let loss = pass.run(model, &window);
    let state = pass.state().unwrap_or_default();
    Ok((loss, pass.gradient, state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bias, Cell, ModelSettings, Settings};

    fn model(cell: Cell) -> Model {
        Model::new(&ModelSettings { cell, hidden: 3, ..ModelSettings::default() }, 5, 1).unwrap()
    }

    fn batch() -> Batch {
        Batch { steps: 3, rows: 2, inputs: vec![0, 1, 2, 3, 4, 0], targets: vec![1; 6], fresh: true }
    }

    fn refused(change: impl FnOnce(&mut Batch), initial: Option<&State>) -> String {
        let mut batch = batch();
        change(&mut batch);
        gradients(&model(Cell::Lstm), &batch, initial, Some(1)).expect_err("a bad argument").to_string()
    }

    #[test]
    fn batches_of_another_size_are_refused() {
        let start = "this batch cannot be used: found";
        assert_eq!(
            refused(|b| b.inputs.truncate(5), None),
            format!("{start} 5 inputs, expected 3 steps x 2 rows of them, and at least one")
        );
        assert!(refused(|b| b.targets.push(0), None).starts_with(&format!("{start} 7 targets")));
        assert!(refused(|b| *b = Batch::default(), None).starts_with(&format!("{start} 0 inputs")));
        assert!(refused(|b| b.rows = usize::MAX, None).starts_with(&format!("{start} 6 inputs")));
    }

    #[test]
    fn ids_beyond_the_vocabulary_are_refused() {
        assert_eq!(
            refused(|b| b.inputs[3] = 5, None),
            "this batch cannot be used: found the id 5 among its inputs at step 1 of row 1, expected ids below 5"
        );
        assert!(refused(|b| b.targets[4] = 9, None).contains("9 among its targets at step 2 of row 0"));
    }

    #[test]
    fn states_of_another_shape_are_refused() {
        let zero = |cell, rows| State::zero(model(cell).config(), rows);
        let found = |state| refused(|_| {}, Some(&state));
        assert_eq!(
            found(zero(Cell::Lstm, 3)),
            "this state has 3 rows and 1 layers, h of 9 and c of 9 values; the model expects 2 rows and 1 layers, \
             h of 6 and c of 6 values; take one that the same model gave"
        );
        assert!(found(zero(Cell::Gru, 2)).contains("h of 6 and c of 0 values; the model expects"));
        let absurd = State { rows: usize::MAX, layers: zero(Cell::Lstm, 2).layers };
        assert!(found(absurd).starts_with(&format!("this state has {} rows", usize::MAX)));
        assert!(refused(|_| {}, Some(&State { rows: 2, layers: vec![] })).contains("2 rows and 0 layers"));
    }

    #[test]
    fn one_bias_alone_has_a_gradient_where_there_is_one() {
        let settings = Settings {
            model: ModelSettings { bias: Bias::Single, hidden: 3, ..ModelSettings::default() },
            ..Settings::default()
        };
        let (_, single, _) =
            gradients(&Model::new(&settings.model, 5, settings.run.seed).unwrap(), &batch(), None, Some(1))
                .unwrap();
        assert!(single.get("rnn.bias_hh_l0").unwrap().iter().all(|&value| value == 0.0));
        let (_, double, _) = gradients(&model(Cell::Lstm), &batch(), None, Some(1)).unwrap();
        assert_eq!(double.get("rnn.bias_hh_l0"), double.get("rnn.bias_ih_l0"));
        assert!(double.get("rnn.bias_hh_l0").unwrap().iter().any(|&value| value != 0.0));
    }
}
