//! The LSTM with options: one step against its equations in f64, and its backward step against
//! numerical derivatives of the equations.

use crate::comparisons::bits;
use crate::harness::{Numbers, fuses};
use unrolled_kernels::Isa;
use unrolled_kernels::lstm::extended::{
    CellStates, ExtendedBackward, ExtendedForward, LstmOptions, clip, clip_backward, slots_of,
};
use unrolled_kernels::pack::padded;

const ROWS: usize = 3;
const VARIANTS: [Variant; 5] =
    [Variant::Plain, Variant::Peepholes, Variant::Coupled, Variant::CoupledPeepholes, Variant::Normalized];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Variant {
    Plain,
    Peepholes,
    Coupled,
    CoupledPeepholes,
    Normalized,
}

impl Variant {
    fn coupled(self) -> bool {
        matches!(self, Self::Coupled | Self::CoupledPeepholes)
    }
    fn peepholes(self) -> usize {
        match self {
            Self::Peepholes => 3,
            Self::CoupledPeepholes => 2,
            _ => 0,
        }
    }
    /// Returns the number of vectors of options: peepholes, or weights and biases of the norm.
    fn vectors(self) -> usize {
        if self == Self::Normalized { 10 } else { self.peepholes() }
    }
}

/// A step in compact arrays: pre-activations [ROWS, gates, H], cell states [ROWS, H], options
/// [vectors, H].
#[derive(Clone)]
struct OptionsCase {
    variant: Variant,
    hidden: usize,
    clip: f32,
    pre: Vec<f64>,
    cells: Vec<f64>,
    vectors: Vec<f64>,
    d_output: Vec<f64>,
    d_cells: Vec<f64>,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl OptionsCase {
    fn new(variant: Variant, hidden: usize, clip: f32) -> Self {
        let mut numbers = Numbers(hidden as u64 * 7 + 1);
        let mut some = |count| numbers.floats(count).into_iter().map(f64::from).collect::<Vec<f64>>();
        let gates = if variant.coupled() { 3 } else { 4 };
        Self {
            variant,
            hidden,
            clip,
            pre: some(ROWS * gates * hidden),
            cells: some(ROWS * hidden),
            vectors: some(variant.vectors() * hidden),
            d_output: some(ROWS * hidden),
            d_cells: some(ROWS * hidden),
        }
    }

    fn gates(&self) -> usize {
        self.pre.len() / (ROWS * self.hidden)
    }

    fn normalize(&self, n: usize, values: &mut [f64]) {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
        for (unit, value) in values.iter_mut().enumerate() {
            let weight = |n: usize| self.vectors[n * self.hidden + unit];
            *value = weight(n) * (*value - mean) / (variance + 1e-12).sqrt() + weight(5 + n);
        }
    }

    /// Returns the new cell states and the outputs.
    fn run(&self) -> (Vec<f64>, Vec<f64>) {
        let (h, gates, first) = (self.hidden, self.gates(), usize::from(!self.variant.coupled()));
        let (mut cells, mut outputs) = (Vec::new(), Vec::new());
        let peephole = |n: usize, unit: usize| {
            if self.variant.peepholes() > n { self.vectors[n * h + unit] } else { 0.0 }
        };
        for row in 0..ROWS {
            let mut pre: Vec<Vec<f64>> =
                (0..gates).map(|g| self.pre[(row * gates + g) * h..][..h].to_vec()).collect();
            let normed = self.variant == Variant::Normalized;
            if normed {
                pre.iter_mut().enumerate().for_each(|(n, values)| self.normalize(n, values));
                pre[1].iter_mut().for_each(|f| *f += 0.75);
            }
            let old = &self.cells[row * h..][..h];
            let mut new: Vec<f64> = (0..h)
                .map(|u| {
                    let f = sigmoid(pre[first][u] + peephole(first, u) * old[u]);
                    let i = if first == 0 { 1.0 - f } else { sigmoid(pre[0][u] + peephole(0, u) * old[u]) };
                    let clip = f64::from(self.clip);
                    (f * old[u] + i * pre[first + 1][u].tanh()).clamp(-clip, clip)
                })
                .collect();
            if normed {
                self.normalize(4, &mut new);
            }
            outputs.extend(
                (0..h).map(|u| sigmoid(pre[first + 2][u] + peephole(first + 1, u) * new[u]) * new[u].tanh()),
            );
            cells.extend(new);
        }
        (cells, outputs)
    }

    fn loss(&self) -> f64 {
        let (cells, outputs) = self.run();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(&cells, &self.d_cells) + dot(&outputs, &self.d_output)
    }

    fn derivative(&self, of: impl Fn(&mut Self) -> &mut f64) -> f64 {
        let at = |distance: f64| {
            let mut moved = self.clone();
            *of(&mut moved) += distance;
            moved.loss()
        };
        (at(1e-5) - at(-1e-5)) / 2e-5
    }
}

/// Returns vectors of H, padded.
fn spread(values: &[f64], hidden: usize) -> Vec<f32> {
    let mut out = Vec::new();
    for row in values.chunks(hidden) {
        out.extend(row.iter().map(|v| *v as f32));
        out.resize(out.len().next_multiple_of(16), 0.0);
    }
    out
}

/// Returns the pre-activations in stored rows.
fn store(step: &OptionsCase) -> Vec<f32> {
    let (slots, gates) = (slots_of(step.hidden, step.variant.coupled()), step.gates());
    let mut stored = vec![0.0; ROWS * slots.width()];
    for (row, values) in step.pre.chunks(gates * step.hidden).enumerate() {
        for (n, value) in values.iter().enumerate() {
            stored[row * slots.width() + slots.place(n)] = *value as f32;
        }
    }
    stored
}

/// Runs a step on one instruction set. Returns the cell states, the outputs, the deltas, the
/// gradient of the old cell states, and the terms.
fn run(step: &OptionsCase, isa: Isa) -> [Vec<f32>; 5] {
    let (h, vector) = (step.hidden, padded(step.hidden));
    let vectors = spread(&step.vectors, h);
    let (peepholes, norm) = match step.variant {
        Variant::Normalized => (&[][..], &vectors[..]),
        _ => (&vectors[..], &[][..]),
    };
    let coupled = step.variant.coupled();
    let options =
        LstmOptions { hidden: h, coupled, peepholes, cell_clip: step.clip, norm, forget_bias: 0.75 };
    let zeros = || vec![0.0f32; ROWS * vector];
    let (mut gates, old) = (store(step), spread(&step.cells, h));
    let [mut new, mut tanh_c, mut output] = [zeros(), zeros(), zeros()];
    let mut kept = vec![0.0; ROWS * options.kept_width()];
    let cell = CellStates::Kept { old: &old, new: &mut new };
    ExtendedForward {
        options,
        rows: ROWS,
        gates: &mut gates,
        cell,
        tanh_c: &mut tanh_c,
        output: &mut output,
        kept: &mut kept,
    }
    .run_on(isa);
    // In place, with the same results.
    let (mut again, mut place) = (store(step), old.clone());
    let [mut tanh_too, mut output_too, mut kept_too] = [zeros(), zeros(), kept.clone()];
    let (tanh, out, keep) = (&mut tanh_too[..], &mut output_too[..], &mut kept_too[..]);
    let cell = CellStates::InPlace(&mut place);
    ExtendedForward { options, rows: ROWS, gates: &mut again, cell, tanh_c: tanh, output: out, kept: keep }
        .run_on(isa);
    assert!(place == new && again == gates && output_too == output, "in place");
    let mut dc = spread(&step.d_cells, h);
    let mut terms = vec![f32::NAN; ROWS * options.terms_width()];
    let kernel = ExtendedBackward {
        options,
        rows: ROWS,
        gates: &mut gates,
        old: &old,
        new: &new,
        tanh_c: &tanh_c,
        d_output: &spread(&step.d_output, h),
        dc: &mut dc,
        kept: &mut kept,
        terms: &mut terms,
    };
    kernel.run_on(isa);
    [new, output, gates, dc, terms]
}

fn close(what: &str, found: f32, expected: f64, scale: f64) {
    // Roundings of about twenty operations, and with a norm of sums over the layer.
    let holds = (f64::from(found) - expected).abs() <= 2e-6 * (1.0 + expected.abs() + scale);
    assert!(holds, "{what}: {found} for {expected}");
}

#[test]
fn steps_agree_with_the_equations_and_deltas_with_the_derivatives() {
    for variant in VARIANTS {
        for hidden in (1..=33).chain([48, 49, 100]) {
            for clip in [f32::INFINITY, 0.3] {
                if variant == Variant::Normalized && (clip.is_finite() || hidden < 4) {
                    continue; // the slope of a norm of one or two values is almost zero
                }
                check(&OptionsCase::new(variant, hidden, clip), hidden <= 20);
            }
        }
    }
}

fn check(step: &OptionsCase, derivatives: bool) {
    let (h, vector) = (step.hidden, padded(step.hidden));
    let slots = slots_of(h, step.variant.coupled());
    let (cells, outputs) = step.run();
    let mut fused: Option<[Vec<f32>; 5]> = None;
    // A norm multiplies by 1 / deviation.
    let scale = if step.variant == Variant::Normalized { 40.0 } else { 0.0 };
    for isa in Isa::all() {
        let found = run(step, isa);
        let what = format!("{:?}, H = {h}, clip {}, {}", step.variant, step.clip, isa.name());
        for row in 0..ROWS {
            for unit in 0..h {
                close(&format!("{what}: c"), found[0][row * vector + unit], cells[row * h + unit], scale);
                close(&format!("{what}: m"), found[1][row * vector + unit], outputs[row * h + unit], scale);
            }
            for unit in h..vector {
                assert_eq!(
                    (found[0][row * vector + unit], found[1][row * vector + unit]),
                    (0.0, 0.0),
                    "{what}"
                );
            }
        }
        if derivatives && step.clip.is_infinite() {
            let gates = step.gates();
            for n in 0..step.pre.len() {
                let (row, place) = (n / (gates * h), slots.place(n % (gates * h)));
                let delta = found[2][row * slots.width() + place];
                close(&format!("{what}: delta {n}"), delta, step.derivative(|s| &mut s.pre[n]), scale);
            }
            for n in 0..step.cells.len() {
                let d = found[3][n / h * vector + n % h];
                close(&format!("{what}: dc {n}"), d, step.derivative(|s| &mut s.cells[n]), scale);
            }
            let width = step.variant.vectors() * vector;
            for n in 0..step.vectors.len() {
                let at = n / h * vector + n % h;
                let sum: f32 = (0..ROWS).map(|row| found[4][row * width + at]).sum();
                close(&format!("{what}: option {n}"), sum, step.derivative(|s| &mut s.vectors[n]), scale);
            }
        }
        if fuses(isa) {
            if let Some(other) = &fused {
                assert!(found.iter().zip(other).all(|(a, b)| bits(a) == bits(b)), "{what}: bits");
            }
            fused = Some(found);
        }
    }
}

#[test]
fn a_clipped_value_has_no_gradient() {
    let step = OptionsCase::new(Variant::Plain, 16, 0.05);
    for isa in Isa::all() {
        let [cells, _, deltas, dc, _] = run(&step, isa);
        assert!(cells.iter().all(|c| c.abs() <= 0.05) && cells.iter().any(|c| c.abs() == 0.05));
        for (n, _) in cells.iter().enumerate().filter(|(_, c)| c.abs() == 0.05) {
            let at = n / 16 * 64 + n % 16;
            assert_eq!((deltas[at], deltas[at + 16], deltas[at + 32], dc[n]), (0.0, 0.0, 0.0, 0.0));
        }
        let mut values = [-2.0, -0.5, 0.25, 3.0];
        clip(isa, &mut values, 0.5);
        assert_eq!(values, [-0.5, -0.5, 0.25, 0.5]);
        let mut gradients = [1.0; 4];
        clip_backward(isa, &values, 0.5, &mut gradients);
        assert_eq!(gradients, [0.0, 0.0, 1.0, 0.0]);
    }
}

#[test]
#[should_panic(expected = "a normalized layer allows no other option")]
fn a_norm_with_another_option_panics() {
    let (norm, mut empty) = ([0.0; 160], [0.0f32; 0]);
    let options = LstmOptions {
        hidden: 4,
        coupled: false,
        peepholes: &[],
        cell_clip: 1.0,
        norm: &norm,
        forget_bias: 0.0,
    };
    let (cell, [gates, tanh_c, output]) =
        (CellStates::InPlace(&mut empty), [&mut [][..], &mut [][..], &mut [][..]]);
    ExtendedForward { options, rows: 0, gates, cell, tanh_c, output, kept: &mut [] }.run_on(Isa::PORTABLE);
}

#[test]
#[should_panic(expected = "tanh_c has length 15, expected 16")]
fn a_short_tanh_c_panics() {
    let options = LstmOptions {
        hidden: 4,
        coupled: false,
        peepholes: &[],
        cell_clip: f32::INFINITY,
        norm: &[],
        forget_bias: 0.0,
    };
    let (mut gates, mut cells, mut tanh_c, mut output) = ([0.0; 64], [0.0; 16], [0.0; 15], [0.0; 16]);
    let cell = CellStates::InPlace(&mut cells);
    let kept = &mut [][..];
    ExtendedForward {
        options,
        rows: 1,
        gates: &mut gates,
        cell,
        tanh_c: &mut tanh_c,
        output: &mut output,
        kept,
    }
    .run_on(Isa::PORTABLE);
}
