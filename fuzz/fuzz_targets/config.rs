//! Any bytes as a configuration file, read into [`Settings`] like on the command line. Valid
//! settings must be equal after a round trip through TOML (a run's `config.toml`) and JSON (a
//! checkpoint), and small models must compute logits.
//!
//! Two checks of the model: the number of its parameters is compared with a count from the
//! settings, and the logits of a whole window with those of one symbol at a time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toml::Table;
use unrolled::exec::{Dynamic, Stream};
use unrolled::model::{Model, ModelConfig};
use unrolled::{Cell, Highway, InputKind, Layer, ModelSettings, Settings};

const SYMBOLS: usize = 5;
/// Parameters of the largest model that is built here.
const MOST: usize = 20_000;

fuzz_target!(|bytes: &[u8]| {
    let Some(settings) = str::from_utf8(bytes).ok().and_then(settings) else { return };
    if settings.validate().is_err() {
        return;
    }
    check_files(&settings);
    check_model(&settings);
});

/// Merges preset and file as the command line does, as TOML tables. The file's values win.
fn settings(text: &str) -> Option<Settings> {
    let mut table: Table = toml::from_str(text).ok()?;
    let preset = table.remove("preset");
    table.remove("corpus");
    let base = Settings::preset(preset.as_ref().map_or(Some("default"), |name| name.as_str())?)?;
    let mut whole = Table::try_from(&base).expect("a preset has a form in TOML");
    whole.extend(table);
    whole.try_into().ok()
}

fn check_files(settings: &Settings) {
    let text = toml::to_string(settings).expect("what was read from TOML can be written");
    let read: Settings = toml::from_str(&text).expect("what was written can be read");
    assert_eq!(&read, settings, "by way of TOML");
    let json = serde_json::to_string(settings).expect("settings can be written as JSON");
    let read: Settings = serde_json::from_str(&json).expect("what was written can be read");
    assert_eq!(&read, settings, "by way of JSON");
}

fn check_model(settings: &Settings) {
    let Ok(config) = ModelConfig::new(&settings.model, SYMBOLS) else { return };
    let custom = settings.model.stack.iter().any(|layer| layer.custom.is_some());
    if custom || count(&settings.model).is_none_or(|count| count > MOST) {
        return;
    }
    let numbers: usize =
        config.layout().entries().iter().map(|entry| entry.shape.iter().product::<usize>()).sum();
    assert_eq!(Some(numbers), count(&settings.model), "parameters of {config:?}");
    let model = Model::new(&settings.model, SYMBOLS, settings.run.seed).expect("a small model");
    let ids = [3, 0, 4, 1, 2, 2, 0];
    let mut logits = vec![0.0; ids.len() * SYMBOLS];
    Dynamic::new(model.clone(), Some(1)).expect("one thread").forward(&ids, 1, &mut logits).unwrap();
    let stream = Stream::new(model.clone());
    assert_eq!(stream.is_err(), config.is_bidirectional(), "a stream only reads forward");
    let Ok(mut stream) = stream else { return };
    for (id, expected) in ids.iter().zip(logits.chunks_exact(SYMBOLS)) {
        assert_eq!(bits(stream.step(id).unwrap()), bits(expected), "a window is its steps");
    }
}

/// Returns the identity of a number: its bits; all NaNs are equal.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { u32::MAX } else { value.to_bits() }).collect()
}

/// Returns the number of trained parameters of embedding, layers and head; `None` if a product
/// overflows.
fn count(settings: &ModelSettings) -> Option<usize> {
    let plain = Layer { activation: settings.activation, ..Layer::new(settings.cell, settings.hidden) };
    let repeated = vec![plain; settings.layers.min(2000)];
    let stack = if settings.stack.is_empty() { repeated } else { settings.stack.clone() };
    let first = stack.first()?.hidden;
    let (mut width, mut total) = match settings.input {
        InputKind::OneHot => (SYMBOLS, 0),
        InputKind::Embedding => {
            let width = settings.embedding.unwrap_or(first);
            (width, width.checked_mul(SYMBOLS)?)
        }
    };
    for layer in &stack {
        let directions = if layer.bidirectional { 2 } else { 1 };
        total = total.checked_add(of_layer(layer, width)?.checked_mul(directions)?)?;
        width = layer.projection.unwrap_or(layer.hidden).checked_mul(directions)?;
    }
    total.checked_add(width.checked_add(1)?.checked_mul(SYMBOLS)?)
}

fn of_layer(layer: &Layer, inputs: usize) -> Option<usize> {
    let gates = match layer.cell {
        Cell::Rnn => 1,
        Cell::Gru => 3,
        Cell::Lstm => 4 - usize::from(layer.coupled),
    };
    let (hidden, state) = (layer.hidden, layer.projection.unwrap_or(layer.hidden));
    // Both weights and both biases. With a single bias the second is zero.
    let columns = inputs.checked_add(state)?.checked_add(2)?;
    let cell = hidden.checked_mul(gates)?.checked_mul(columns)?;
    let projection = hidden.checked_mul(layer.projection.unwrap_or(0))?;
    let peepholes = if layer.peepholes { hidden.checked_mul(gates - 1)? } else { 0 };
    let norms = if layer.layer_norm { hidden.checked_mul(10)? } else { 0 };
    let mixers = match layer.highway {
        Highway::Off => 0,
        Highway::Coupled => 1,
        Highway::Separate => 2,
    };
    let highway = inputs.checked_add(1)?.checked_mul(inputs)?.checked_mul(mixers)?;
    cell.checked_add(projection)?.checked_add(peepholes)?.checked_add(norms)?.checked_add(highway)
}
