//! TensorFlow's `class GRUCell(RNNCell)` as a custom cell, with its backward pass. The program
//! compares its gradients with numerical ones and its outputs with the built-in GRU, and trains it
//! on a text in a stack with a built-in layer: `cargo run --release --example custom_cell`.
//!
//! ```text
//! r, u = sigmoid([x, h] W + b)       c = tanh([x, r h] W_c + b_c)       h' = u h + (1 - u) c
//! ```
//!
//! Some texts swap u and 1 - u. This is TensorFlow's form.

use unrolled::corpus::Corpus;
use unrolled::model::Model;
use unrolled::network::{
    CellStep, CellStepBackward, CustomCell, Layer, Network, RnnCell, Variable, Window, check_gradients,
};
use unrolled::train::Training;
use unrolled::{ModelSettings, RunSettings, ScheduleSettings, Settings, Unit};

/// TensorFlow's `GRUCell`: kernels [E + H, 2H] for the gates r and u, and [E + H, H] for the
/// candidate.
#[derive(Debug)]
struct GruCell {
    num_units: usize,
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Returns [x, h] kernel + bias.
fn affine(x: &[f32], h: &[f32], kernel: &[f32], bias: &[f32]) -> Vec<f32> {
    let mut sums = bias.to_vec();
    for (value, row) in x.iter().chain(h).zip(kernel.chunks_exact(bias.len())) {
        sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += value * weight);
    }
    sums
}

/// The backward pass of `affine`: adds to the gradients of the kernel and the bias, and returns the
/// gradient of [x, h].
fn affine_backward(
    x: &[f32],
    h: &[f32],
    kernel: &[f32],
    d_sums: &[f32],
    (d_kernel, d_bias): (&mut [f32], &mut [f32]),
) -> Vec<f32> {
    d_bias.iter_mut().zip(d_sums).for_each(|(to, d)| *to += d);
    let rows = kernel.chunks_exact(d_sums.len()).zip(d_kernel.chunks_exact_mut(d_sums.len()));
    let pairs = x.iter().chain(h).zip(rows);
    let gradient = pairs.map(|(value, (row, d_row))| {
        d_row.iter_mut().zip(d_sums).for_each(|(to, d)| *to += value * d);
        row.iter().zip(d_sums).map(|(weight, d)| weight * d).sum()
    });
    gradient.collect()
}

impl RnnCell for GruCell {
    fn state_size(&self) -> Vec<usize> {
        vec![self.num_units]
    }

    fn output_size(&self) -> usize {
        self.num_units
    }

    fn variables(&self, input_size: usize) -> Vec<Variable> {
        let (rows, n) = (input_size + self.num_units, self.num_units);
        vec![
            Variable::weight("gates_kernel", &[rows, 2 * n]),
            Variable::constant("gates_bias", &[2 * n], 1.0),
            Variable::weight("candidate_kernel", &[rows, n]),
            Variable::constant("candidate_bias", &[n], 0.0),
        ]
    }

    /// The values r, u and c of each row.
    fn kept_size(&self, _input_size: usize) -> usize {
        3 * self.num_units
    }

    fn step(&self, variables: &[&[f32]], step: CellStep<'_>) {
        let (n, e) = (self.num_units, step.inputs.len() / step.rows);
        for row in 0..step.rows {
            let (x, h) = (&step.inputs[row * e..][..e], &step.state[row * n..][..n]);
            let ru: Vec<f32> = affine(x, h, variables[0], variables[1]).into_iter().map(sigmoid).collect();
            let (r, u) = ru.split_at(n);
            let rh: Vec<f32> = r.iter().zip(h).map(|(r, h)| r * h).collect();
            let c: Vec<f32> = affine(x, &rh, variables[2], variables[3]).into_iter().map(f32::tanh).collect();
            let next = &mut step.next_state[row * n..][..n];
            (0..n).for_each(|i| next[i] = u[i] * h[i] + (1.0 - u[i]) * c[i]);
            step.outputs[row * n..][..n].copy_from_slice(next);
            let kept = &mut step.kept[row * 3 * n..][..3 * n];
            kept[..2 * n].copy_from_slice(&ru);
            kept[2 * n..].copy_from_slice(&c);
        }
    }

    fn step_backward(&self, variables: &[&[f32]], step: CellStepBackward<'_>) {
        let (n, e) = (self.num_units, step.inputs.len() / step.rows);
        let [d_gates_kernel, d_gates_bias, d_candidate_kernel, d_candidate_bias] = step.d_variables else {
            panic!("a gradient for each of four variables");
        };
        for row in 0..step.rows {
            let (x, h) = (&step.inputs[row * e..][..e], &step.state[row * n..][..n]);
            let kept = &step.kept[row * 3 * n..][..3 * n];
            let (r, u, c) = (&kept[..n], &kept[n..2 * n], &kept[2 * n..]);
            // The new state is also the output.
            let d_new = step.d_outputs[row * n..].iter().zip(&step.d_next_state[row * n..]);
            let d: Vec<f32> = d_new.take(n).map(|(output, state)| output + state).collect();
            let d_c: Vec<f32> = (0..n).map(|i| d[i] * (1.0 - u[i]) * (1.0 - c[i] * c[i])).collect();
            let rh: Vec<f32> = r.iter().zip(h).map(|(r, h)| r * h).collect();
            let candidate = (&mut **d_candidate_kernel, &mut **d_candidate_bias);
            let d_x_rh = affine_backward(x, &rh, variables[2], &d_c, candidate);
            let d_r = (0..n).map(|i| d_x_rh[e + i] * h[i] * r[i] * (1.0 - r[i]));
            let d_u = (0..n).map(|i| d[i] * (h[i] - c[i]) * u[i] * (1.0 - u[i]));
            let d_ru: Vec<f32> = d_r.chain(d_u).collect();
            let gates = (&mut **d_gates_kernel, &mut **d_gates_bias);
            let d_x_h = affine_backward(x, h, variables[0], &d_ru, gates);
            for i in 0..e {
                step.d_inputs[row * e + i] = d_x_rh[i] + d_x_h[i];
            }
            for i in 0..n {
                step.d_state[row * n + i] = d[i] * u[i] + d_x_rh[e + i] * r[i] + d_x_h[e + i];
            }
        }
    }
}

/// Returns rows of a kernel [E + H, columns], transposed.
fn transposed(kernel: &[f32], rows: std::ops::Range<usize>, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| rows.clone().map(move |row| kernel[row * columns + c])).collect()
}

/// Returns the built-in GRU with the weights of the custom one.
fn built_in(custom: &Model, inputs: usize, n: usize) -> unrolled::Result<Model> {
    let get = |name: &str| custom.parameters().get(&format!("rnn.{name}_l0")).expect("a variable");
    let mut model = Model::of_layers(&[Layer::gru_before(n)], inputs, None, 1)?;
    let mut parameters = model.parameters().clone();
    let both = |rows: std::ops::Range<usize>| {
        let gates = transposed(get("gates_kernel"), rows.clone(), 2 * n);
        [gates, transposed(get("candidate_kernel"), rows, n)].concat()
    };
    let mut put = |name: &str, values: &[f32]| {
        parameters.get_mut(&format!("rnn.{name}_l0")).expect("a parameter").copy_from_slice(values);
    };
    put("weight_ih", &both(0..inputs));
    put("weight_hh", &both(inputs..inputs + n));
    put("bias_ih", &[get("gates_bias"), get("candidate_bias")].concat());
    put("bias_hh", &vec![0.0; 3 * n]);
    model = Model::with_parameters(model.config().clone(), parameters)?;
    Ok(model)
}

fn main() -> unrolled::Result<()> {
    let layer = |n| Layer::custom(CustomCell::new("tensorflow-gru", GruCell { num_units: n }));

    // 1. Compare its gradients with differences.
    for difference in check_gradients(&[layer(3)], 2, 1)? {
        assert!(difference.holds(), "{difference:?}");
        println!("{:26} within {:.1e} of differences", difference.tensor, difference.largest);
    }

    // 2. Compare it with the built-in cell.
    let (inputs, n, steps, rows) = (5, 8, 6, 3);
    let custom = Model::of_layers(&[layer(n)], inputs, None, 1)?;
    let same = built_in(&custom, inputs, n)?;
    let x: Vec<f32> = (0..steps * rows * inputs).map(|i| (i as f32 * 0.37).sin()).collect();
    let run = |model: Model| -> unrolled::Result<Vec<f32>> {
        let mut outputs = vec![0.0; steps * rows * n];
        Network::new(model, None)?.forward(&Window::new(steps, rows, &x), &mut outputs)?;
        Ok(outputs)
    };
    let (ours, theirs) = (run(custom)?, run(same)?);
    let largest = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("built-in GRU: the same within {largest:.1e}");
    assert!(largest < 1e-6);

    // 3. Train it on a text, in a stack.
    let corpus = Corpus::from_text("the cat sat on the mat. ".repeat(40), Unit::Char)?;
    let stack = vec![layer(24), Layer::lstm(24)];
    let settings = Settings {
        model: ModelSettings { stack, ..ModelSettings::default() },
        schedule: ScheduleSettings { learning_rate: 2e-2, ..ScheduleSettings::default() },
        run: RunSettings { batch: 8, steps: 12, epochs: 12.0, ..RunSettings::default() },
        ..Settings::default()
    };
    let mut training = Training::new(corpus, settings, None)?;
    let first = training.step()?.loss;
    while !training.is_done() {
        training.step()?;
    }
    let last = training.evaluate()?.expect("a tenth of the text is held out").loss;
    println!("trained in a stack: from {first:.2} to {last:.2} nats per symbol");
    assert!(last < 0.5 * first);
    Ok(())
}
