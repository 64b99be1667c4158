//! Losses and accuracies compared with TensorFlow.

use super::fixture_differences::record;
use super::layer_fixture::LayerFixture;
use super::{assert_close, close};
use unrolled::corpus::Corpus;
use unrolled::exec::Plan;
use unrolled::loss::{
    Average, Losses, accuracy, in_top_k, sequence_loss, sequence_loss_by_example, smoothed_labels,
    softmax_cross_entropy, top_k_accuracy,
};
use unrolled::train::Training;
use unrolled::{DataSettings, ModelSettings, RunSettings, Settings, Unit, Windows};

fn targets(case: &LayerFixture) -> Vec<u32> {
    case.ids("targets").iter().map(|id| *id as u32).collect()
}

fn assert_losses(what: &str, losses: &Losses, expected: &[f32]) {
    let values: Vec<f32> = losses.values.iter().map(|value| *value as f32).collect();
    assert_close(what, &values, expected);
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

#[test]
pub fn losses_of_dense_labels_match_tensorflow() {
    for name in ["dense", "dense-unnormalised"] {
        let case = LayerFixture::load(&format!("tensorflow-loss-{name}"));
        let losses = softmax_cross_entropy(case.get("logits"), case.get("labels"), 9).unwrap();
        assert_losses(&case.name, &losses, case.get("losses"));
        let cotangents = wide(case.get("cotangent.losses"));
        assert_close(&case.name, &losses.gradient(&cotangents), case.get("grad.logits"));
        assert_close(&case.name, &losses.gradient_of_labels(&cotangents), case.get("grad.labels"));
    }
}

#[test]
pub fn losses_of_smoothed_labels_match_tensorflow() {
    let case = LayerFixture::load("tensorflow-loss-smoothed");
    let labels = smoothed_labels(&targets(&case), 11, 0.125).unwrap();
    let losses = softmax_cross_entropy(case.get("logits"), &labels, 9).unwrap();
    assert_losses(&case.name, &losses, case.get("losses"));
    let loss = losses.clone().over_nonzero_weights(case.get("weights")).unwrap();
    assert_losses(&case.name, &loss, case.get("loss"));
    assert_close(&case.name, &loss.gradient(&[1.0]), case.get("grad.loss"));
    let zero = losses.over_nonzero_weights(&[0.0; 9]).unwrap();
    assert_losses(&case.name, &zero, case.get("loss.zero"));
    assert_close(&case.name, &zero.gradient(&[1.0]), case.get("grad.loss.zero"));
}

#[test]
pub fn losses_by_example_match_tensorflow() {
    for name in ["by-example", "by-example-zero"] {
        let case = LayerFixture::load(&format!("tensorflow-loss-{name}"));
        for (flag, average) in [("timesteps", true), ("sum", false)] {
            let of = || {
                let (logits, weights) = (case.get("logits"), case.get("weights"));
                sequence_loss_by_example(logits, &targets(&case), weights, 3, average).unwrap()
            };
            assert_losses(&case.name, &of(), case.get(&format!("losses.{flag}")));
            let gradient = of().gradient(&wide(case.get("cotangent.losses")));
            assert_close(&case.name, &gradient, case.get(&format!("grad.losses.{flag}")));
            for (batch, loss) in [("sum", of().sum()), ("batch", of().mean())] {
                assert_losses(&case.name, &loss, case.get(&format!("loss.{flag}.{batch}")));
                let expected = case.get(&format!("grad.loss.{flag}.{batch}"));
                assert_close(&case.name, &loss.gradient(&[1.0]), expected);
            }
        }
    }
}

#[test]
pub fn sequence_losses_match_tensorflow() {
    let averages = [
        ("both", Average::Both),
        ("timesteps", Average::Timesteps),
        ("batch", Average::Batch),
        ("none", Average::None),
    ];
    for name in ["sequence", "sequence-zero"] {
        let case = LayerFixture::load(&format!("tensorflow-loss-{name}"));
        for (flag, average) in averages {
            let (logits, weights) = (case.get("logits"), case.get("weights"));
            let loss = sequence_loss(logits, &targets(&case), weights, 3, average).unwrap();
            assert_losses(&case.name, &loss, case.get(&format!("losses.{flag}")));
            let cotangents = case.find(&format!("cotangent.losses.{flag}")).map_or(vec![1.0], wide);
            assert_close(&case.name, &loss.gradient(&cotangents), case.get(&format!("grad.losses.{flag}")));
        }
    }
}

#[test]
pub fn top_k_and_accuracy_match_tensorflow() {
    let case = LayerFixture::load("tensorflow-top-k");
    let (logits, targets) = (case.get("logits"), targets(&case));
    for k in [1, 2, 3, 11] {
        let found: Vec<usize> = in_top_k(logits, &targets, k).unwrap().into_iter().map(usize::from).collect();
        assert_eq!(found, case.ids(&format!("top{k}")), "k = {k}");
        record(&case.name, 0.0);
        let share = found.iter().sum::<usize>() as f64 / 24.0;
        assert!(close(top_k_accuracy(logits, &targets, k).unwrap(), share));
    }
    for (row, expected) in case.ids("argmax").iter().enumerate() {
        assert_eq!(accuracy(&logits[row * 11..][..11], &[*expected as u32]).unwrap(), 1.0, "row {row}");
    }
}

/// Loss and gradient norm of the first training step with label smoothing, computed from the logits
/// of the first window.
#[test]
pub fn training_with_label_smoothing_has_the_smoothed_loss() {
    let settings = Settings {
        model: ModelSettings { hidden: 9, ..ModelSettings::default() },
        data: DataSettings { val_fraction: 0.0, ..DataSettings::default() },
        run: RunSettings {
            batch: 3,
            steps: 4,
            windows: Windows::Sliding,
            label_smoothing: 0.25,
            ..RunSettings::default()
        },
        ..Settings::default()
    };
    let corpus = || Corpus::from_text("the cat sat on the mat. ".repeat(9), Unit::Char).unwrap();
    let mut training = Training::new(corpus(), settings.clone(), Some(2)).unwrap();
    let (model, symbols) = (training.model().clone(), training.vocabulary().len());
    let report = training.step().unwrap();
    let ids = training.vocabulary().encode(&"the cat sat on the mat. ".repeat(9)[..7]).unwrap();
    let at = |shift: usize| (0..12).map(|i| ids[i / 3 + i % 3 + shift]).collect::<Vec<u32>>();
    let mut logits = vec![0.0; 12 * symbols];
    Plan::new(model.clone(), 4, 3, Some(1)).unwrap().forward(&at(0), &mut logits).unwrap();
    let labels = smoothed_labels(&at(1), symbols, 0.25).unwrap();
    let expected = softmax_cross_entropy(&logits, &labels, 12).unwrap().mean();
    assert!((report.loss - expected.values[0]).abs() < 1e-6, "{} for {}", report.loss, expected.values[0]);
    // The gradient of the head's bias is the sum of the logits' gradients, so the norm is at least
    // that large.
    let gradient = expected.gradient(&[1.0]);
    let bias: Vec<f64> =
        (0..symbols).map(|v| gradient.iter().skip(v).step_by(symbols).map(|g| f64::from(*g)).sum()).collect();
    let moved = training.model().parameters().get("head.bias").unwrap();
    let before = model.parameters().get("head.bias").unwrap();
    for ((now, before), slope) in moved.iter().zip(before).zip(&bias).filter(|(_, slope)| slope.abs() > 1e-6)
    {
        assert_eq!(now < before, *slope > 0.0, "Adam's first step goes against the slope {slope}");
    }
}
