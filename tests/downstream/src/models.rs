//! Models, training and stacks on vectors, without optimization.

use crate::on_small_stack;
use unrolled::corpus::Corpus;
use unrolled::exec::Stream;
use unrolled::model::Model;
use unrolled::network::{Network, Window};
use unrolled::train::Training;
use unrolled::{Cell, Layer, ModelSettings, RunSettings, Settings, Unit};

#[test]
fn every_cell_trains_and_streams_on_small_stacks() {
    for cell in [Cell::Rnn, Cell::Lstm, Cell::Gru] {
        on_small_stack(move || {
            let text = "to be or not to be, that is the question. ".repeat(12);
            let settings = Settings {
                model: ModelSettings { cell, hidden: 20, layers: 2, ..ModelSettings::default() },
                run: RunSettings { batch: 4, steps: 8, max_steps: Some(2), ..RunSettings::default() },
                ..Settings::default()
            };
            let corpus = Corpus::from_text(text, Unit::Char).unwrap();
            let mut training = Training::new(corpus, settings, Some(2)).unwrap();
            while !training.is_done() {
                assert!(training.step().unwrap().loss.is_finite());
            }
            let mut stream = Stream::new(training.model().clone()).unwrap();
            assert!(stream.step(&0).unwrap().iter().all(|logit| logit.is_finite()));
        });
    }
}

#[test]
fn a_stack_on_vectors_goes_forward_and_backward() {
    on_small_stack(|| {
        let stack =
            [Layer { peepholes: true, ..Layer::lstm(20) }, Layer { residual: true, ..Layer::gru(20) }];
        let model = Model::of_layers(&stack, 10, None, 1).unwrap();
        let mut rnn = Network::new(model, Some(1)).unwrap();
        let (inputs, d_outputs) = (vec![0.1; 6 * 2 * 10], vec![1.0; 6 * 2 * 20]);
        let mut outputs = vec![0.0; 6 * 2 * 20];
        rnn.forward(&Window { lengths: Some(&[6, 4]), ..Window::new(6, 2, &inputs) }, &mut outputs).unwrap();
        rnn.backward(&d_outputs, None).unwrap();
        assert!(outputs.iter().all(|output| output.is_finite()));
    });
}
