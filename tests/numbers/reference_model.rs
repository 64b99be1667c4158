//! The reference implementation of a model: in f64, one number at a time, directly from the
//! equations.
//!
//! With a = W_ih x + b_ih and r = W_hh h + b_hh of each gate:
//!
//! ```text
//! RNN               h' = act(a + r)
//! LSTM              c' = sig(a_f + r_f) c + sig(a_i + r_i) tanh(a_g + r_g),  h' = sig(a_o + r_o) tanh(c')
//! GRU, reset after  n = tanh(a_n + sig(a_r + r_r) r_n),                      h' = (1 - z) n + z h,  z = sig(a_z + r_z)
//! GRU, before       the same with n = tanh(a_n + W_hn (sig(a_r + r_r) h) + b_hn)
//! ```

use unrolled::corpus::Batch;
use unrolled::exec::State;
use unrolled::model::{Model, ModelConfig, ParameterLayout};
use unrolled::random::{MaskPosition, dropout_mask};
use unrolled::{Activation, Cell, Reset};

pub struct ReferenceModel {
    config: ModelConfig,
    layout: ParameterLayout,
    /// The flat parameter buffer in f64.
    pub values: Vec<f64>,
    /// Dropout probability and random seed of a run. The masks of its first step are applied to
    /// every layer's output.
    pub dropout: Option<(f32, u64)>,
    /// Steps of each row; empty for all steps.
    pub lengths: Vec<usize>,
}

struct Layer<'a> {
    weight_ih: &'a [f64],
    weight_hh: &'a [f64],
    bias_ih: &'a [f64],
    bias_hh: &'a [f64],
}

impl ReferenceModel {
    pub fn new(model: &Model) -> Self {
        let parameters = model.parameters();
        let values = parameters.values.iter().map(|&value| value.into()).collect();
        let (config, layout) = (model.config().clone(), parameters.layout.clone());
        Self { config, layout, values, dropout: None, lengths: Vec::new() }
    }

    fn get(&self, name: &str) -> &[f64] {
        &self.values[self.layout.find(name).unwrap().range.clone()]
    }

    fn layer(&self, l: usize) -> Layer<'_> {
        let get = |what: &str| self.get(&format!("rnn.{what}_l{l}"));
        let [weight_ih, weight_hh] = ["weight_ih", "weight_hh"].map(get);
        let [bias_ih, bias_hh] = ["bias_ih", "bias_hh"].map(get);
        Layer { weight_ih, weight_hh, bias_ih, bias_hh }
    }

    /// Returns the mean loss of a window in nats.
    pub fn loss(&self, batch: &Batch, initial: Option<&State>) -> f64 {
        let layers: Vec<Layer<'_>> = (0..self.config.stack.len()).map(|l| self.layer(l)).collect();
        let mut sum = 0.0;
        for b in 0..batch.rows {
            let mut state: Vec<[Vec<f64>; 2]> =
                (0..layers.len()).map(|l| self.start(initial, l, b)).collect();
            for t in 0..self.length(batch, b) {
                let mut x = self.input(batch.inputs[t * batch.rows + b]);
                for (l, (layer, [h, c])) in layers.iter().zip(&mut state).enumerate() {
                    self.step(l, layer, &x, h, c);
                    x = self
                        .dropped(h, MaskPosition { seed: 0, layer: l as u32, step: t as u64, row: b as u32 });
                }
                sum += self.cross_entropy(&x, batch.targets[t * batch.rows + b]);
            }
        }
        sum / (0..batch.rows).map(|b| self.length(batch, b)).sum::<usize>() as f64
    }

    fn length(&self, batch: &Batch, b: usize) -> usize {
        self.lengths.get(b).copied().unwrap_or(batch.steps)
    }

    fn start(&self, initial: Option<&State>, l: usize, b: usize) -> [Vec<f64>; 2] {
        let hidden = self.config.stack[l].hidden;
        let row = |values: &[f32]| match values.get(b * hidden..(b + 1) * hidden) {
            Some(row) => row.iter().map(|&value| value.into()).collect(),
            None => vec![0.0; hidden],
        };
        initial.map_or([vec![0.0; hidden], vec![0.0; hidden]], |s| [row(&s.layers[l].h), row(&s.layers[l].c)])
    }

    fn input(&self, id: u32) -> Vec<f64> {
        let id = id as usize;
        match self.config.embedding {
            Some(width) => self.get("embedding.weight")[id * width..][..width].to_vec(),
            None => (0..self.config.vocabulary).map(|v| f64::from(u8::from(v == id))).collect(),
        }
    }

    fn step(&self, l: usize, layer: &Layer<'_>, x: &[f64], h: &mut [f64], c: &mut [f64]) {
        let n = h.len();
        let a = product(layer.weight_ih, layer.bias_ih, x);
        let r = product(layer.weight_hh, layer.bias_hh, h);
        let sum = |gate: usize, i: usize| a[gate * n + i] + r[gate * n + i];
        let unrolled::Layer { cell, reset, activation, .. } = self.config.stack[l];
        match (cell, reset) {
            (Cell::Rnn, _) => (0..n).for_each(|i| h[i] = activate(activation, sum(0, i))),
            (Cell::Lstm, _) => (0..n).for_each(|i| {
                c[i] = sigmoid(sum(1, i)) * c[i] + sigmoid(sum(0, i)) * sum(2, i).tanh();
                h[i] = sigmoid(sum(3, i)) * c[i].tanh();
            }),
            (Cell::Gru, reset) => {
                let gated: Vec<f64> = (0..n).map(|i| sigmoid(sum(0, i)) * h[i]).collect();
                let before = product(&layer.weight_hh[2 * n * n..], &layer.bias_hh[2 * n..], &gated);
                for i in 0..n {
                    let after = sigmoid(sum(0, i)) * r[2 * n + i];
                    let inner = if reset == Reset::After { after } else { before[i] };
                    let z = sigmoid(sum(1, i));
                    h[i] = (1.0 - z) * (a[2 * n + i] + inner).tanh() + z * h[i];
                }
            }
        }
    }

    fn dropped(&self, h: &[f64], place: MaskPosition) -> Vec<f64> {
        let Some((share, seed)) = self.dropout else { return h.to_vec() };
        let mut mask = vec![0.0; h.len()];
        dropout_mask(MaskPosition { seed, ..place }, 1.0 - share, 1.0 / (1.0 - share), &mut mask);
        h.iter().zip(mask).map(|(h, mask)| h * f64::from(mask)).collect()
    }

    fn cross_entropy(&self, h: &[f64], target: u32) -> f64 {
        let logits = product(self.get("head.weight"), self.get("head.bias"), h);
        let sum: f64 = logits.iter().map(|y| y.exp()).sum();
        sum.ln() - logits[target as usize]
    }

    /// Returns the derivative of the loss with respect to parameter `at`, by central differences.
    ///
    /// The step of 1e-5 has an error of about 1e-10 from the third derivative and 1e-11 from
    /// rounding.
    pub fn derivative(&mut self, at: usize, batch: &Batch, initial: Option<&State>) -> f64 {
        const STEP: f64 = 1e-5;
        let value = self.values[at];
        let mut loss = |value: f64| {
            self.values[at] = value;
            self.loss(batch, initial)
        };
        let difference = loss(value + STEP) - loss(value - STEP);
        self.values[at] = value;
        difference / (2.0 * STEP)
    }
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.max(0.0),
        Activation::Sigmoid => sigmoid(x),
        Activation::Identity => x,
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// bias + weight . x
fn product(weight: &[f64], bias: &[f64], x: &[f64]) -> Vec<f64> {
    let dot = |row: &[f64]| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    weight.chunks_exact(x.len()).zip(bias).map(|(row, bias)| bias + dot(row)).collect()
}
