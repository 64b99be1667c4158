//! Loss and accuracy of an evaluation, compared with a computation symbol by symbol.

use super::{batch, close, ids, model, run_of, text};
use std::f64::consts::LN_2;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use unrolled::corpus::Corpus;
use unrolled::exec::Stream;
use unrolled::model::Model;
use unrolled::train::{Evaluation, EvaluationOptions, Training, evaluate, evaluate_with};
use unrolled::{DataSettings, ModelSettings, RunSettings, Settings};

fn settings() -> Settings {
    Settings {
        model: ModelSettings { hidden: 30, layers: 2, ..run_of(&Settings::default(), 0.5).model },
        data: DataSettings { val_fraction: 0.3, ..run_of(&Settings::default(), 0.5).data },
        ..run_of(&Settings::default(), 0.5)
    }
}

/// Sum of losses and number of right predictions of one stream.
fn naive(model: &Arc<Model>, ids: &[u32]) -> (f64, u64) {
    let mut stream = Stream::new(model.clone()).unwrap();
    let (mut loss, mut right) = (0.0, 0);
    for pair in ids.windows(2) {
        let (logits, target) = (stream.step(&pair[0]).unwrap(), pair[1] as usize);
        let sum: f64 = logits.iter().map(|&y| f64::from(y).exp()).sum();
        loss += sum.ln() - f64::from(logits[target]);
        let most = logits.iter().copied().fold(f32::MIN, f32::max);
        right += u64::from(logits.iter().position(|&y| y == most) == Some(target));
    }
    (loss, right)
}

fn assert_naive(found: &Evaluation, model: &Arc<Model>, corpus: &Corpus, part: Range<usize>, streams: usize) {
    let length = (part.len() - 1) / streams;
    let (mut loss, mut right) = (0.0, 0);
    for row in 0..streams {
        let mut ids = vec![0; length + 1];
        corpus.read(part.start + row * length, &mut ids);
        let (losses, rights) = naive(model, &ids);
        (loss, right) = (loss + losses, right + rights);
    }
    let symbols = (streams * length) as f64;
    let loss = loss / symbols;
    assert_eq!(found.symbols as f64, symbols);
    assert_eq!(found.accuracy, right as f64 / symbols);
    assert!(right > 0, "nothing is right: the test tests nothing");
    for (found, expected) in
        [(found.loss, loss), (found.bits_per_symbol, loss / LN_2), (found.perplexity, loss.exp())]
    {
        assert!(close(found, expected), "{found} for {expected}");
    }
}

/// A model that has learned a little, and its text.
fn learned() -> (Arc<Model>, Corpus) {
    let corpus = || text(2000);
    let mut training = Training::new(corpus(), settings(), Some(1)).unwrap();
    (0..5).for_each(|_| _ = training.step().unwrap());
    (training.model().clone(), corpus())
}

#[test]
fn losses_and_accuracy_are_those_of_single_streams() {
    let (model, corpus) = learned();
    for (part, streams) in [(0..2000, 16), (100..1141, 16), (500..700, 3), (7..200, 1)] {
        let found = evaluate(model.clone(), &corpus, part.clone(), streams, Some(1)).unwrap();
        assert_naive(&found, &model, &corpus, part, streams);
    }
}

#[test]
fn symbols_among_the_likeliest_are_counted() {
    let (model, corpus) = learned();
    let share = |k: usize| {
        let reading = EvaluationOptions { range: 7..300, streams: 1, top_k: NonZeroUsize::new(k) };
        evaluate_with(model.clone(), &corpus, reading, Some(2)).unwrap().top_k_accuracy.unwrap()
    };
    let (mut stream, mut ids) = (Stream::new(model.clone()).unwrap(), vec![0; 293]);
    corpus.read(7, &mut ids);
    let mut larger = Vec::new();
    for pair in ids.windows(2) {
        let logits = stream.step(&pair[0]).unwrap();
        larger.push(logits.iter().filter(|y| **y > logits[pair[1] as usize]).count());
    }
    for k in [1, 2, 5, 11] {
        let expected = larger.iter().filter(|larger| **larger < k).count() as f64 / 292.0;
        assert_eq!(share(k), expected, "k = {k}");
    }
    assert!(share(1) < share(5) && share(corpus.vocabulary().len()) == 1.0);
    assert_eq!(evaluate(model.clone(), &corpus, 7..300, 1, Some(1)).unwrap().top_k_accuracy, None);
}

#[test]
fn steps_threads_and_batch_do_not_change_an_evaluation() {
    let evaluation = |steps, batch, threads| {
        // With an explicit interval an evaluation reads the whole split.
        let run = RunSettings { steps, batch, eval_every: Some(1), ..settings().run };
        let settings = Settings { run, ..settings() };
        Training::new(text(2000), settings, Some(threads)).unwrap().evaluate().unwrap().unwrap()
    };
    let expected = evaluation(64, 7, 1);
    for (steps, batch, threads) in [(1, 7, 1), (5, 2, 2), (37, 7, 3), (64, 3, 2)] {
        assert_eq!(evaluation(steps, batch, threads), expected, "T {steps}, B {batch}, {threads} threads");
    }
    let (training, corpus) = (Training::new(text(2000), settings(), Some(1)).unwrap(), text(2000));
    let part = corpus.split(unrolled::SplitBy::Tail, 0.3, 0.0).unwrap().validation;
    assert_eq!(evaluate(training.model().clone(), &corpus, part, 16, Some(2)).unwrap(), expected);
}

#[test]
fn a_split_too_short_to_evaluate_is_an_error_except_in_training() {
    let model = model(&settings(), 40);
    let message = evaluate(model.clone(), &text(2000), 3..4, 16, Some(1)).unwrap_err().to_string();
    assert!(message.starts_with("too few symbols: an evaluation needs 2, found 1"), "{message}");
    let without = Settings {
        data: DataSettings { val_fraction: 0.0, ..settings().data },
        run: RunSettings { max_steps: Some(1), ..settings().run },
        ..settings()
    };
    let mut training = Training::new(text(2000), without, Some(1)).unwrap();
    assert_eq!(training.evaluate().unwrap(), None);
    let record = training.step().unwrap().record.expect("the last step is evaluated");
    assert_eq!((record.val_loss, record.val_accuracy), (None, None));
}

#[test]
fn the_loss_of_a_window_is_the_mean_of_its_rows() {
    let model = model(&settings(), 40);
    let batch = batch(12, 5, 40);
    let (loss, ..) = super::gradients(model.clone(), &batch, None, Some(1)).unwrap();
    let row = |row: usize| {
        let mut stream = Stream::new(model.clone()).unwrap();
        let pairs = batch.inputs.iter().zip(&batch.targets).skip(row).step_by(5);
        let loss = pairs.map(|(&input, &target)| {
            let logits = stream.step(&input).unwrap();
            let sum: f64 = logits.iter().map(|&y| f64::from(y).exp()).sum();
            sum.ln() - f64::from(logits[target as usize])
        });
        loss.sum::<f64>()
    };
    assert!(close(loss, (0..5).map(row).sum::<f64>() / 60.0), "{loss}");
    assert_ne!(ids(1, 9, 40), ids(2, 9, 40));
}
