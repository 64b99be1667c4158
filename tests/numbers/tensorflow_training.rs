//! The lecture's training program in TensorFlow: from the same weights, on the same windows, the
//! loss of each update is the same.

use super::assert_close;
use super::fixture_differences::record;
use super::layer_fixture::LayerFixture;
use unrolled::checkpoint::Checkpoint;
use unrolled::corpus::{Corpus, Vocabulary};
use unrolled::exec::State;
use unrolled::model::{ModelConfig, Parameters};
use unrolled::tensorflow::{copy_head, copy_layer};
use unrolled::train::{Progress, Training};
use unrolled::{
    DataSettings, ForgetBiasAt, Mode, ModelSettings, OptimizerKind, RunSettings, Settings, Windows,
};

const UPDATES: usize = 50;
const SYMBOLS: usize = 17;

/// A text with the windows of the trace: sliding windows, where row b of window n starts at
/// symbol n B + b, or streams.
fn ids(case: &LayerFixture, settings: &Settings) -> Vec<u32> {
    let RunSettings { steps, batch: rows, .. } = settings.run;
    let (inputs, targets) = (case.ids("inputs"), case.ids("targets"));
    let at = |values: &[usize], n: usize, t: usize, b: usize| values[(n * steps + t) * rows + b] as u32;
    let mut ids = Vec::new();
    if settings.run.windows == Windows::Sliding {
        ids.extend(
            (0..UPDATES).flat_map(|n| (0..rows).map(move |b| (n, b))).map(|(n, b)| at(inputs, n, 0, b)),
        );
        ids.extend((1..steps).map(|t| at(inputs, UPDATES - 1, t, rows - 1)));
        ids.push(at(targets, UPDATES - 1, steps - 1, rows - 1));
        return ids;
    }
    for b in 0..rows {
        ids.extend(
            (0..UPDATES).flat_map(|n| (0..steps).map(move |t| (n, t))).map(|(n, t)| at(inputs, n, t, b)),
        );
        ids.push(at(targets, UPDATES - 1, steps - 1, b));
    }
    ids.push(0);
    ids
}

fn parameters(case: &LayerFixture, before: &str, config: &ModelConfig) -> Parameters {
    let mut parameters = Parameters::zeros(config.layout());
    let get = |name: &str| case.find(&format!("{before}{name}"));
    copy_layer(config, 0, &mut parameters, &get).unwrap();
    copy_head(&mut parameters, get("head/kernel").unwrap(), get("head/bias").unwrap()).unwrap();
    parameters
}

fn training(case: &LayerFixture, mode: Mode, threads: usize) -> Training {
    let settings: Settings = serde_json::from_str(&case.config).unwrap();
    let forget_bias_at = ForgetBiasAt::RunTime;
    let settings = Settings {
        model: ModelSettings { forget_bias_at, ..settings.model },
        data: DataSettings { val_fraction: 0.0, ..settings.data },
        run: RunSettings { mode, epochs: 1.0, ..settings.run },
        ..settings
    };
    let symbols: Vec<String> = ('a'..).take(SYMBOLS).map(String::from).collect();
    let vocabulary = Vocabulary::from_json(&serde_json::to_string(&symbols).unwrap()).unwrap();
    let corpus = Corpus::from_text_with(vocabulary.decode(&ids(case, &settings)), &vocabulary).unwrap();
    let config = ModelConfig::new(&settings.model, SYMBOLS).unwrap();
    let parameters = parameters(case, "", &config);
    let moment = |name: &str, value| (name.to_owned(), vec![value; parameters.values.len()]);
    let moments = match settings.optimizer.kind {
        OptimizerKind::Adagrad => vec![moment("accumulator", 0.1)],
        _ => vec![moment("m", 0.0), moment("v", 0.0)],
    };
    let state = Some(State::zero(&config, settings.run.batch));
    let (total_steps, corpus_fingerprint) = (UPDATES as u64, corpus.fingerprint());
    let progress = Progress { total_steps, eval_every: 100, corpus_fingerprint, ..Progress::default() };
    let checkpoint = Checkpoint {
        settings: settings.clone(),
        vocabulary,
        parameters,
        moments,
        state,
        progress,
        quantized: false,
    };
    Training::resume(corpus, checkpoint, settings, Some(threads)).unwrap()
}

#[test]
pub fn fifty_updates_match_the_lectures_program() {
    let names =
        ["rnn-adagrad", "rnn-adam", "lstm-adagrad", "lstm-adam", "gru-adagrad", "gru-adam", "lstm-clipped"];
    for name in names {
        let case = LayerFixture::load(&format!("tensorflow-trace-{name}"));
        for (mode, threads) in [(Mode::Static, 1), (Mode::Dynamic, 2)] {
            let mut training = training(&case, mode, threads);
            let steps = case.get("losses").iter().zip(case.get("norms"));
            for (i, (&loss, &norm)) in steps.enumerate() {
                let report = training.step().unwrap();
                let error = (report.loss - f64::from(loss)).abs();
                record(&case.name, error);
                assert!(error <= 1e-5, "{name}, update {i}: loss {} for {loss}", report.loss);
                let norm = f64::from(norm);
                assert!((report.gradient_norm - norm).abs() <= 1e-5 * (1.0 + norm), "{name}, update {i}");
            }
            assert!(training.is_done());
            let expected = parameters(&case, "final.", training.model().config());
            for ((entry, found), (_, expected)) in training.model().parameters().iter().zip(expected.iter()) {
                assert_close(&format!("{}: {} in the end", case.name, entry.name), found, expected);
            }
        }
    }
}
