//! The input table of the first layer: rows for all symbols, or with a large vocabulary only for
//! the window's symbols.

use super::gradients;
use super::gradients::assert_gradients;
use super::{assert_close, batch, bits, cells, ids, label, model};
use unrolled::corpus::Batch;
use unrolled::exec::{Dynamic, Plan, Stream};
use unrolled::model::Parameters;
use unrolled::{InputKind, ModelSettings, Settings};

/// A vocabulary above 1024: windows with fewer tokens have a table of their own symbols, others a
/// table of all symbols.
const SYMBOLS: usize = 1100;
const ROWS: usize = 16;

fn settings() -> Vec<Settings> {
    let with = |cell: Settings, input| Settings {
        model: ModelSettings { hidden: 6, embedding: Some(4), input, ..cell.model },
        ..cell
    };
    [InputKind::OneHot, InputKind::Embedding].into_iter().flat_map(|i| cells().map(|c| with(c, i))).collect()
}

#[test]
fn both_input_tables_give_the_same_logits() {
    for settings in settings() {
        let model = model(&settings, SYMBOLS);
        let ids = ids(8, 72 * ROWS, SYMBOLS);
        assert!(ids.len() > SYMBOLS);
        let mut whole = vec![f32::NAN; ids.len() * SYMBOLS];
        Plan::new(model.clone(), 72, ROWS, Some(1)).unwrap().forward(&ids, &mut whole).unwrap();
        let mut pieces = vec![f32::NAN; whole.len()];
        let mut dynamic = Dynamic::new(model.clone(), Some(1)).unwrap();
        for (ids, logits) in ids.chunks(9 * ROWS).zip(pieces.chunks_mut(9 * ROWS * SYMBOLS)) {
            dynamic.forward(ids, ROWS, logits).unwrap();
        }
        assert!(bits(&whole) == bits(&pieces), "{}", label(&settings));
        let mut stream = Stream::new(model.clone()).unwrap();
        for (id, logits) in ids.chunks(ROWS).zip(whole.chunks(ROWS * SYMBOLS)).take(20) {
            assert!(bits(stream.step(&id[0]).unwrap()) == bits(&logits[..SYMBOLS]), "{}", label(&settings));
        }
    }
}

#[test]
fn a_table_of_some_symbols_has_zero_gradients_for_the_others() {
    for settings in settings() {
        let (model, batch) = (model(&settings, SYMBOLS), batch(3, 2, SYMBOLS));
        let layout = model.config().layout();
        // The reference model is slow. It checks the whole recurrent part, the first layer's inputs
        // of the window's symbols and some others, and not the head, which does not use the table.
        let checked = |at: usize| {
            let entry = layout.entries().iter().find(|entry| entry.range.contains(&at)).unwrap();
            let symbol = match (entry.name.as_str(), settings.model.input) {
                ("embedding.weight", _) => (at - entry.range.start) / 4,
                ("rnn.weight_ih_l0", InputKind::OneHot) => (at - entry.range.start) % SYMBOLS,
                (name, _) => return name.starts_with("rnn."),
            };
            batch.inputs.contains(&(symbol as u32)) || symbol % 400 == 7
        };
        assert_gradients(&label(&settings), &model, &batch, None, checked);
    }
}

/// Rows `rows` of a batch.
fn part(batch: &Batch, from: usize, rows: usize) -> Batch {
    let take =
        |ids: &[u32]| ids.chunks(batch.rows).flat_map(|step| step[from..from + rows].to_vec()).collect();
    Batch {
        inputs: take(&batch.inputs),
        targets: take(&batch.targets),
        steps: batch.steps,
        rows,
        fresh: true,
    }
}

#[test]
fn the_gradient_of_many_rows_is_the_mean_of_their_parts() {
    for settings in settings() {
        let (model, batch) = (model(&settings, SYMBOLS), batch(2, 36 * ROWS, SYMBOLS));
        assert!(batch.inputs.len() > SYMBOLS);
        let (_, whole, _) = gradients(model.clone(), &batch, None, Some(2)).unwrap();
        let mut mean = Parameters::zeros(model.config().layout());
        for i in 0..36 {
            let (_, gradient, _) =
                gradients(model.clone(), &part(&batch, i * ROWS, ROWS), None, Some(1)).unwrap();
            mean.values.iter_mut().zip(&gradient.values).for_each(|(sum, value)| *sum += value / 36.0);
        }
        assert_close(&label(&settings), &whole.values, &mean.values);
    }
}
