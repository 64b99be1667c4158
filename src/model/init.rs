//! Initial parameters.
//!
//! The draws of a tensor depend only on the random seed, the direction of the layer and the kind of
//! tensor. So an additional layer, or another width of the head, does not change the draws of other
//! tensors.
//!
//! Sources: [PyTorch], [Glorot and Bengio 2010], orthogonal matrices by [Saxe et al. 2014], drawn
//! uniformly as by [Mezzadri 2007].
//!
//! [PyTorch]: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
//! [Glorot and Bengio 2010]: https://proceedings.mlr.press/v9/glorot10a.html
//! [Saxe et al. 2014]: https://arxiv.org/abs/1312.6120
//! [Mezzadri 2007]: https://arxiv.org/abs/math-ph/0609050

use super::{InitialValues, LayerDirection, ModelConfig, Parameters, tensors::TensorId};
use crate::{
    Cell, ForgetBiasAt, Highway, Init, Layer, ModelSettings,
    random::{DrawPurpose, Draws},
};

/// Half-width of the embedding's uniform distribution if biases start at 0: the default of
/// [Keras](https://keras.io/api/layers/core_layers/embedding/).
const KERAS_EMBEDDING: f32 = 0.05;
/// Default standard deviation of `normal`, as in min-char-rnn.
const NORMAL_DEVIATION: f32 = 0.01;
/// Added to the number of a layer for the draws of its reverse direction. A model has far fewer
/// layers.
const REVERSE: u32 = 1 << 31;

/// Draws the parameters of a model.
pub(super) fn draw(settings: &ModelSettings, seed: u64, config: &ModelConfig) -> Parameters {
    let mut parameters = Parameters::zeros(config.layout());
    let tensors = config.tensors();
    for (tensor, entry) in tensors.into_iter().zip(parameters.layout.entries()) {
        let values = &mut parameters.values[entry.range.clone()];
        let source = TensorDraws { seed, tensor };
        match (tensor, settings.init) {
            (TensorId::Extra(of, index), _) => extra(settings, config, source, (of.layer, index), values),
            (_, Init::Uniform) => uniform(settings, config, source, values),
            (_, Init::Glorot | Init::Orthogonal) => by_gate(settings, config, source, values),
            (_, Init::Normal) => normal(settings, source, values),
        }
        match tensor {
            TensorId::InputBias(of) if config.is_constant(of.layer, 0) => values.fill(0.0),
            TensorId::InputBias(of) => add_forget_bias(&config.stack[of.layer], values),
            TensorId::HiddenBias(of) if config.is_constant(of.layer, 1) => values.fill(0.0),
            _ => {}
        }
    }
    parameters
}

/// The draws of one tensor.
#[derive(Clone, Copy)]
struct TensorDraws {
    seed: u64,
    tensor: TensorId,
}

impl TensorDraws {
    fn draws(self) -> Draws {
        let (of, kind) = match self.tensor {
            TensorId::Embedding => (LayerDirection::forward(0), 0),
            TensorId::InputWeight(of) => (of, 1),
            TensorId::HiddenWeight(of) => (of, 2),
            TensorId::InputBias(of) => (of, 3),
            TensorId::HiddenBias(of) => (of, 4),
            TensorId::HeadWeight => (LayerDirection::forward(0), 5),
            TensorId::HeadBias => (LayerDirection::forward(0), 6),
            TensorId::Extra(of, index) => (of, 16 + index as u64),
        };
        let reverse = if of.is_reverse { REVERSE } else { 0 };
        Draws::new(self.seed, DrawPurpose::Init, of.layer as u32 | reverse, kind)
    }

    /// Returns the width n of PyTorch's scale 1/sqrt(n): the hidden width of a layer, or the input
    /// width of the head.
    fn width(self, config: &ModelConfig) -> usize {
        match self.tensor {
            TensorId::InputWeight(of)
            | TensorId::HiddenWeight(of)
            | TensorId::InputBias(of)
            | TensorId::HiddenBias(of)
            | TensorId::Extra(of, _) => config.stack[of.layer].hidden,
            TensorId::Embedding | TensorId::HeadWeight | TensorId::HeadBias => config.stack_width(),
        }
    }

    fn is_bias(self) -> bool {
        matches!(self.tensor, TensorId::InputBias(_) | TensorId::HiddenBias(_) | TensorId::HeadBias)
    }
}

/// Draws from U(-s, s) with s = 1/sqrt(H), as `nn.LSTM`, `nn.GRU`, `nn.RNN` and `nn.Linear` do. The
/// embedding is drawn from N(0, 1), as by `nn.Embedding`. A given scale applies to all tensors.
fn uniform(settings: &ModelSettings, config: &ModelConfig, source: TensorDraws, values: &mut [f32]) {
    let scale = settings.init_scale.unwrap_or(1.0 / (source.width(config) as f32).sqrt());
    match source.tensor {
        TensorId::Embedding if settings.init_scale.is_none() => fill_normal(&mut source.draws(), 1.0, values),
        _ => fill_uniform(&mut source.draws(), scale, values),
    }
}

/// Draws the matrix of each gate on its own: Glorot uniform, or a random orthogonal matrix for the
/// recurrent weights of `orthogonal`. Biases stay 0.
fn by_gate(settings: &ModelSettings, config: &ModelConfig, source: TensorDraws, values: &mut [f32]) {
    let gain = settings.init_scale.unwrap_or(1.0);
    let mut draws = source.draws();
    let shape = source.tensor.shape(config);
    match source.tensor {
        TensorId::Embedding => fill_uniform(&mut draws, KERAS_EMBEDDING, values),
        TensorId::HiddenWeight(of) if settings.init == Init::Orthogonal && config.is_square(of.layer) => {
            let hidden = config.stack[of.layer].hidden;
            for (gate, matrix) in values.chunks_exact_mut(hidden * hidden).enumerate() {
                fill_orthogonal(draws.clone().at_row(gate as u32), gain, hidden, matrix);
            }
        }
        TensorId::InputWeight(of) | TensorId::HiddenWeight(of) => {
            fill_glorot(&mut draws, gain, [config.stack[of.layer].hidden, shape[1]], values)
        }
        TensorId::HeadWeight => fill_glorot(&mut draws, gain, [shape[0], shape[1]], values),
        TensorId::InputBias(_) | TensorId::HiddenBias(_) | TensorId::HeadBias | TensorId::Extra(..) => {}
    }
}

/// Draws all matrices from N(0, s^2). Biases stay 0.
fn normal(settings: &ModelSettings, source: TensorDraws, values: &mut [f32]) {
    if !source.is_bias() {
        fill_normal(&mut source.draws(), settings.init_scale.unwrap_or(NORMAL_DEVIATION), values);
    }
}

/// Draws a tensor of an option or of a custom cell: with its own initial values, or with the
/// distribution of the settings.
fn extra(
    settings: &ModelSettings,
    config: &ModelConfig,
    source: TensorDraws,
    (layer, index): (usize, usize),
    values: &mut [f32],
) {
    let variable = config.extras(layer).swap_remove(index);
    let mut draws = source.draws();
    let rows = variable.shape.first().copied().unwrap_or(1);
    let columns = values.len() / rows.max(1);
    match (variable.initial, settings.init) {
        (InitialValues::Constant(value), _) => {
            values.fill(value);
            // TensorFlow starts the transform gate, the second one, at minus the carry gate's bias.
            if variable.name == "highway_bias" && config.stack[layer].highway == Highway::Separate {
                values[rows / 2..].fill(-value);
            }
        }
        (InitialValues::Uniform(scale), _) => fill_uniform(&mut draws, scale, values),
        (InitialValues::Normal(deviation), _) => fill_normal(&mut draws, deviation, values),
        (InitialValues::Glorot, Init::Uniform) => uniform(settings, config, source, values),
        (InitialValues::Glorot, Init::Normal) => normal(settings, source, values),
        (InitialValues::Glorot, Init::Glorot | Init::Orthogonal) => {
            fill_glorot(&mut draws, settings.init_scale.unwrap_or(1.0), [rows, columns], values);
        }
    }
}

fn add_forget_bias(layer: &Layer, bias: &mut [f32]) {
    if let Some((rows, value)) = layer.forget_bias(ForgetBiasAt::Initial) {
        bias[rows].iter_mut().for_each(|bias| *bias += value);
    }
    // The gates are r, z, n.
    if layer.cell == Cell::Gru {
        bias[..2 * layer.hidden].iter_mut().for_each(|bias| *bias += layer.gate_bias);
    }
}

fn fill_uniform(draws: &mut Draws, scale: f32, values: &mut [f32]) {
    values.fill_with(|| (2.0 * draws.uniform() - 1.0) * scale);
}

fn fill_normal(draws: &mut Draws, deviation: f32, values: &mut [f32]) {
    values.fill_with(|| (draws.normal() * f64::from(deviation)) as f32);
}

/// Draws from U(-l, l) with l = gain sqrt(6 / (rows + columns)), where the matrix of one gate has
/// the shape [rows, columns].
fn fill_glorot(draws: &mut Draws, gain: f32, [rows, columns]: [usize; 2], values: &mut [f32]) {
    let limit = f64::from(gain) * (6.0 / (rows as f64 + columns as f64)).sqrt();
    fill_uniform(draws, limit as f32, values);
}

/// Draws an orthogonal matrix [n, n] times the gain: the rows of a matrix of normal numbers, made
/// orthonormal one after another (modified Gram-Schmidt in f64). The factor R then has a positive
/// diagonal, so the result is uniform over all orthogonal matrices.
fn fill_orthogonal(mut draws: Draws, gain: f32, n: usize, values: &mut [f32]) {
    let mut rows: Vec<f64> = (0..n * n).map(|_| draws.normal()).collect();
    for index in 0..n {
        let (done, below) = rows.split_at_mut((index + 1) * n);
        let row = &mut done[index * n..];
        let length = dot(row, row).sqrt();
        row.iter_mut().for_each(|value| *value /= length);
        for other in below.chunks_exact_mut(n) {
            let along = dot(row, other);
            other.iter_mut().zip(&*row).for_each(|(value, unit)| *value -= along * unit);
        }
    }
    for (value, row) in values.iter_mut().zip(&rows) {
        *value = (row * f64::from(gain)) as f32;
    }
}

/// Returns the dot product: eight partial sums, which the compiler vectorizes, added in order.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bias, InputKind};

    fn settings(init: Init) -> ModelSettings {
        ModelSettings { init, hidden: 64, embedding: Some(48), layers: 2, ..ModelSettings::default() }
    }

    fn drawn(settings: &ModelSettings) -> Parameters {
        draw(settings, 1, &ModelConfig::new(settings, 80).unwrap())
    }

    /// Returns the largest magnitude, the mean, and the standard deviation.
    fn spread(values: &[f32]) -> [f64; 3] {
        let count = values.len() as f64;
        let sum = |f: fn(f64) -> f64| values.iter().map(|&v| f(v.into())).sum::<f64>();
        let largest = values.iter().fold(0.0f64, |most, &v| most.max(f64::from(v).abs()));
        let mean = sum(|v| v) / count;
        [largest, mean, (sum(|v| v * v) / count - mean * mean).sqrt()]
    }

    fn assert_uniform(values: &[f32], limit: f64) {
        let [largest, mean, deviation] = spread(values);
        assert!(largest <= limit && largest > 0.95 * limit, "largest {largest}, limit {limit}");
        assert!(mean.abs() < 0.1 * limit, "mean {mean}");
        assert!((deviation / (limit / 3f64.sqrt()) - 1.0).abs() < 0.1, "deviation {deviation}");
    }

    fn assert_normal(values: &[f32], expected: f64) {
        let [_, mean, deviation] = spread(values);
        assert!(mean.abs() < 0.1 * expected, "mean {mean}");
        assert!((deviation / expected - 1.0).abs() < 0.1, "deviation {deviation}");
    }

    fn assert_zero(parameters: &Parameters, names: &[&str]) {
        for name in names {
            assert!(parameters.get(name).unwrap().iter().all(|&value| value == 0.0), "{name}");
        }
    }

    #[test]
    fn uniform_matches_pytorch() {
        let parameters = drawn(&ModelSettings { forget_bias: 0.0, ..settings(Init::Uniform) });
        for (entry, values) in parameters.iter() {
            match entry.name.as_str() {
                "embedding.weight" => assert_normal(values, 1.0),
                _ => assert_uniform(values, 0.125),
            }
        }
    }

    #[test]
    fn a_scale_of_uniform_applies_to_all_tensors() {
        let scaled = ModelSettings { init_scale: Some(0.08), forget_bias: 0.0, ..settings(Init::Uniform) };
        drawn(&scaled).iter().for_each(|(_, values)| assert_uniform(values, f64::from(0.08f32)));
    }

    #[test]
    fn with_a_single_bias_the_second_one_is_zero() {
        for init in [Init::Uniform, Init::Glorot, Init::Orthogonal, Init::Normal] {
            let parameters = drawn(&ModelSettings { bias: Bias::Single, ..settings(init) });
            assert_zero(&parameters, &["rnn.bias_hh_l0", "rnn.bias_hh_l1"]);
        }
        let double = drawn(&settings(Init::Uniform));
        let single = drawn(&ModelSettings { bias: Bias::Single, ..settings(Init::Uniform) });
        assert_eq!(single.get("rnn.bias_ih_l0"), double.get("rnn.bias_ih_l0"));
    }

    #[test]
    fn the_forget_bias_is_added_to_the_forget_gate_of_each_layer() {
        let parameters = drawn(&settings(Init::Glorot));
        for name in ["rnn.bias_ih_l0", "rnn.bias_ih_l1"] {
            let bias = parameters.get(name).unwrap();
            let expected = |unit| if (64..128).contains(&unit) { 1.0 } else { 0.0 };
            assert!(bias.iter().enumerate().all(|(unit, &value)| value == expected(unit)), "{name}");
        }
        let gru = drawn(&ModelSettings { cell: Cell::Gru, ..settings(Init::Glorot) });
        assert_zero(&gru, &["rnn.bias_ih_l0", "rnn.bias_ih_l1"]);
    }

    #[test]
    fn gru_gates_and_highway_gates_start_as_in_tensorflow() {
        let stack = vec![Layer::gru_before(64), Layer { highway: Highway::Separate, ..Layer::lstm(64) }];
        let parameters = drawn(&ModelSettings { stack, ..settings(Init::Glorot) });
        let bias = parameters.get("rnn.bias_ih_l0").unwrap();
        assert!(bias.iter().enumerate().all(|(n, bias)| *bias == if n < 128 { 1.0 } else { 0.0 }));
        let bias = parameters.get("rnn.highway_bias_l1").unwrap();
        assert!(bias.iter().enumerate().all(|(n, bias)| *bias == if n < 64 { 1.0 } else { -1.0 }));
    }

    #[test]
    fn glorot_uses_the_shape_of_one_gate() {
        let parameters = drawn(&ModelSettings { init_scale: Some(2.0), ..settings(Init::Glorot) });
        let limit = |rows: f64, columns: f64| 2.0 * (6.0 / (rows + columns)).sqrt() * (1.0 + 1e-7);
        assert_uniform(parameters.get("rnn.weight_ih_l0").unwrap(), limit(64.0, 48.0));
        assert_uniform(parameters.get("rnn.weight_ih_l1").unwrap(), limit(64.0, 64.0));
        assert_uniform(parameters.get("rnn.weight_hh_l0").unwrap(), limit(64.0, 64.0));
        assert_uniform(parameters.get("head.weight").unwrap(), limit(80.0, 64.0));
        assert_uniform(parameters.get("embedding.weight").unwrap(), f64::from(KERAS_EMBEDDING));
        assert_zero(&parameters, &["rnn.bias_hh_l0", "head.bias"]);
    }

    #[test]
    fn the_recurrent_weights_of_each_gate_are_orthogonal() {
        for (hidden, gain) in [(1, 1.0), (5, 1.0), (64, 1.5)] {
            let settings = ModelSettings { hidden, init_scale: Some(gain), ..settings(Init::Orthogonal) };
            let parameters = drawn(&settings);
            let gates = parameters.get("rnn.weight_hh_l1").unwrap();
            assert_ne!(gates[..hidden * hidden], gates[hidden * hidden..2 * hidden * hidden]);
            for matrix in gates.chunks_exact(hidden * hidden) {
                assert_orthogonal(matrix, hidden, f64::from(gain * gain));
            }
        }
    }

    fn assert_orthogonal(matrix: &[f32], n: usize, square: f64) {
        for (i, a) in matrix.chunks_exact(n).enumerate() {
            for (j, b) in matrix.chunks_exact(n).enumerate() {
                let product: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
                let expected = if i == j { square } else { 0.0 };
                assert!((product - expected).abs() < 1e-5, "rows {i} and {j} of {n}: {product}");
            }
        }
    }

    #[test]
    fn normal_matches_min_char_rnn() {
        let one_hot = ModelSettings { input: InputKind::OneHot, cell: Cell::Rnn, ..settings(Init::Normal) };
        let parameters = drawn(&one_hot);
        assert_normal(parameters.get("rnn.weight_ih_l0").unwrap(), 0.01);
        assert_normal(parameters.get("head.weight").unwrap(), 0.01);
        assert_zero(&parameters, &["rnn.bias_ih_l0", "rnn.bias_hh_l0", "head.bias"]);
        let scaled = drawn(&ModelSettings { init_scale: Some(0.3), ..settings(Init::Normal) });
        assert_normal(scaled.get("embedding.weight").unwrap(), 0.3);
    }

    #[test]
    fn another_layer_or_head_does_not_change_other_draws() {
        for init in [Init::Uniform, Init::Glorot, Init::Orthogonal, Init::Normal] {
            let deeper = ModelSettings { layers: 3, ..settings(init) };
            let (small, large) =
                (drawn(&settings(init)), draw(&deeper, 1, &ModelConfig::new(&deeper, 81).unwrap()));
            for (entry, values) in small.iter().filter(|(entry, _)| entry.name.starts_with("rnn.")) {
                assert_eq!(Some(values), large.get(&entry.name), "{} {}", init.name(), entry.name);
            }
        }
    }

    #[test]
    fn the_seed_determines_the_draws_and_gaps_stay_zero() {
        let settings = settings(Init::Uniform);
        let config = ModelConfig::new(&settings, 80).unwrap();
        let [one, again, two] = [1, 1, 2].map(|seed| draw(&settings, seed, &config));
        assert_eq!(one, again);
        assert_ne!(one.get("head.bias"), two.get("head.bias"));
        let odd = ModelSettings { hidden: 3, ..settings };
        let parameters = drawn(&odd);
        let named: f64 = parameters.iter().flat_map(|(_, values)| values).map(|&v| f64::from(v.abs())).sum();
        let all: f64 = parameters.values.iter().map(|&v| f64::from(v.abs())).sum();
        assert!((named - all).abs() < 1e-9 * all);
        assert!(parameters.layout.count() < parameters.layout.len());
    }

    #[test]
    fn the_draws_match_stored_checksums() {
        let checksum = |init| {
            let parameters = drawn(&ModelSettings { hidden: 4, embedding: Some(3), ..settings(init) });
            crc32fast::hash(bytemuck::cast_slice(&parameters.values))
        };
        let found = [Init::Uniform, Init::Glorot, Init::Orthogonal, Init::Normal].map(checksum);
        assert_eq!(found, [2074105387, 3096448907, 3688513948, 2383130935]);
    }
}
