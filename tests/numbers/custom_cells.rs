//! Custom cells: a plain one, and one whose state has two parts and whose output is another vector.

use super::bits;
use unrolled::checkpoint::Checkpoint;
use unrolled::corpus::Corpus;
use unrolled::exec::{Plan, Stream};
use unrolled::model::Model;
use unrolled::network::{CellStep, CellStepBackward, CustomCell, Layer, RnnCell, Variable, check_gradients};
use unrolled::tensorflow::copy_layer;
use unrolled::train::Training;
use unrolled::{InputKind, Mode, ModelSettings, RunSettings, Settings, Unit};

/// a' = tanh(W x + u a), b' = b / 2 + a' b. The output is the pair (a' + b', a') without the last
/// value, so the state has two parts and another width than the output.
#[derive(Debug)]
pub struct Pair {
    pub units: usize,
    /// A factor of the derivative; 1 is correct.
    pub slope: f32,
}

impl RnnCell for Pair {
    fn state_size(&self) -> Vec<usize> {
        vec![self.units, self.units]
    }
    fn output_size(&self) -> usize {
        2 * self.units - 1
    }
    fn variables(&self, input_size: usize) -> Vec<Variable> {
        vec![
            Variable::weight("weight", &[self.units, input_size]),
            Variable {
                initial: unrolled::network::InitialValues::Uniform(0.5),
                ..Variable::weight("loop", &[self.units])
            },
        ]
    }
    /// a'.
    fn kept_size(&self, _: usize) -> usize {
        self.units
    }
    fn step(&self, variables: &[&[f32]], step: CellStep<'_>) {
        let (n, e) = (self.units, step.inputs.len() / step.rows);
        for row in 0..step.rows {
            let (x, state) = (&step.inputs[row * e..][..e], &step.state[row * 2 * n..][..2 * n]);
            for i in 0..n {
                let sum: f32 = variables[0][i * e..][..e].iter().zip(x).map(|(w, x)| w * x).sum();
                let a = (sum + variables[1][i] * state[i]).tanh();
                let b = state[n + i] * (0.5 + a);
                step.kept[row * n + i] = a;
                step.next_state[row * 2 * n + i] = a;
                step.next_state[row * 2 * n + n + i] = b;
                step.outputs[row * (2 * n - 1) + i] = a + b;
                if i + 1 < n {
                    step.outputs[row * (2 * n - 1) + n + i] = a;
                }
            }
        }
    }
    fn step_backward(&self, variables: &[&[f32]], step: CellStepBackward<'_>) {
        let (n, e) = (self.units, step.inputs.len() / step.rows);
        let [d_weight, d_loop] = step.d_variables else { panic!("two variables") };
        for row in 0..step.rows {
            let (x, state) = (&step.inputs[row * e..][..e], &step.state[row * 2 * n..][..2 * n]);
            let d_out = &step.d_outputs[row * (2 * n - 1)..][..2 * n - 1];
            for i in 0..n {
                let a = step.kept[row * n + i];
                let d_b = step.d_next_state[row * 2 * n + n + i] + d_out[i];
                let own = if i + 1 < n { d_out[n + i] } else { 0.0 };
                let d_a = step.d_next_state[row * 2 * n + i] + d_out[i] + own + d_b * state[n + i];
                let d = self.slope * d_a * (1.0 - a * a);
                d_loop[i] += d * state[i];
                step.d_state[row * 2 * n + i] = d * variables[1][i];
                step.d_state[row * 2 * n + n + i] = d_b * (0.5 + a);
                for k in 0..e {
                    d_weight[i * e + k] += d * x[k];
                    step.d_inputs[row * e + k] += d * variables[0][i * e + k];
                }
            }
        }
    }
}

pub fn pair(units: usize) -> CustomCell {
    CustomCell::new("pair", Pair { units, slope: 1.0 })
}

fn settings(mode: Mode) -> Settings {
    let first = Layer { state_keep_prob: 0.75, zoneout: 0.25, ..Layer::custom(pair(5)) };
    let stack = vec![first, Layer { residual: true, ..Layer::gru(9) }, Layer::custom(pair(4))];
    let input = InputKind::OneHot;
    Settings {
        model: ModelSettings { stack, input, ..ModelSettings::default() },
        run: RunSettings {
            mode,
            batch: 4,
            steps: 6,
            max_steps: Some(9),
            epochs: 99.0,
            ..RunSettings::default()
        },
        ..Settings::default()
    }
}

fn training(mode: Mode, threads: usize) -> Training {
    let corpus = Corpus::from_text("the cat sat on the mat. ".repeat(20), Unit::Char).unwrap();
    Training::new(corpus, settings(mode), Some(threads)).unwrap()
}

fn finish(mut training: Training) -> Vec<u32> {
    while !training.is_done() {
        training.step().unwrap();
    }
    bits(&training.model().parameters().values)
}

#[test]
fn custom_gradients_match_differences_and_wrong_ones_are_found() {
    let differences = check_gradients(&[Layer::custom(pair(3)), Layer::gru(4)], 2, 3).unwrap();
    assert_eq!(differences.len(), 2 + 4 + 1 + 2, "variables, the GRU's tensors, inputs, states");
    assert!(
        differences.iter().all(|difference| difference.holds() && difference.scale > 0.0),
        "{differences:?}"
    );
    let wrong = CustomCell::new("wrong", Pair { units: 3, slope: 1.02 });
    let differences = check_gradients(&[Layer::custom(wrong)], 2, 3).unwrap();
    assert!(differences.iter().any(|difference| !difference.holds()), "{differences:?}");
}

#[test]
fn modes_and_threads_change_no_bit() {
    let expected = finish(training(Mode::Static, 1));
    for (mode, threads) in [(Mode::Dynamic, 1), (Mode::Static, 2), (Mode::Dynamic, 3)] {
        assert!(finish(training(mode, threads)) == expected, "{mode:?}, {threads} threads");
    }
}

#[test]
fn a_checkpoint_needs_the_custom_cells_that_it_names() {
    let stack = vec![Layer::custom(pair(5))];
    let corpus = Corpus::from_text("the cat sat on the mat. ".repeat(20), Unit::Char).unwrap();
    let training = Training::new(
        corpus,
        Settings { model: ModelSettings { stack, ..settings(Mode::Static).model }, ..settings(Mode::Static) },
        Some(1),
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    training.checkpoint().save(&path).unwrap();
    let unknown = Checkpoint::load(&path).unwrap_err().to_string();
    assert!(
        unknown.contains("custom = pair is invalid") && unknown.contains("Checkpoint::load_with"),
        "{unknown}"
    );
    let other = Checkpoint::load_with(&path, &[pair(6)]).unwrap_err().to_string();
    assert!(other.contains("rnn.weight_l0"), "{other}");
    assert_eq!(Checkpoint::load_with(&path, &[pair(5)]).unwrap().parameters, *training.model().parameters());
}

#[test]
fn a_run_with_a_custom_cell_resumes_to_the_same_bits() {
    let mut settings = settings(Mode::Static);
    settings.model.stack[2] = Layer::lstm(6);
    let corpus = || Corpus::from_text("the cat sat on the mat. ".repeat(20), Unit::Char).unwrap();
    let expected = finish(Training::new(corpus(), settings.clone(), Some(1)).unwrap());
    let mut first = Training::new(corpus(), settings, Some(1)).unwrap();
    for _ in 0..4 {
        first.step().unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    first.checkpoint().save(&path).unwrap();
    let checkpoint = Checkpoint::load_with(&path, &[pair(5)]).unwrap();
    let settings = checkpoint.settings.clone();
    assert!(finish(Training::resume(corpus(), checkpoint, settings, Some(2)).unwrap()) == expected);
}

#[test]
fn a_stream_has_the_logits_of_a_window() {
    let model = Model::new(&settings(Mode::Static).model, 7, 1).unwrap();
    let ids: Vec<u32> = (0..11).map(|i| i * 5 % 7).collect();
    let mut logits = vec![0.0; 11 * 7];
    Plan::new(model.clone(), 11, 1, Some(1)).unwrap().forward(&ids, &mut logits).unwrap();
    let mut stream = Stream::new(model.clone()).unwrap();
    for (id, expected) in ids.iter().zip(logits.chunks(7)) {
        assert_eq!(bits(stream.step(id).unwrap()), bits(expected));
    }
}

#[derive(Debug)]
struct Odd {
    state: Vec<usize>,
    output: usize,
    variable: Variable,
    /// True if the cell writes it.
    rows: usize,
}

impl RnnCell for Odd {
    fn state_size(&self) -> Vec<usize> {
        self.state.clone()
    }
    fn output_size(&self) -> usize {
        self.output
    }
    fn variables(&self, _: usize) -> Vec<Variable> {
        vec![self.variable.clone(), Variable::weight("w", &[1])]
    }
    fn step(&self, _: &[&[f32]], step: CellStep<'_>) {
        step.next_state[..3 * self.rows].copy_from_slice(&step.inputs[..3 * self.rows]);
        // Adding to zeros counts as writing.
        step.outputs[..3 * self.rows].iter_mut().for_each(|output| *output += 0.0);
    }
    fn step_backward(&self, _: &[&[f32]], _: CellStepBackward<'_>) {}
}

fn made(odd: Odd) -> unrolled::Result<Model> {
    Model::of_layers(&[Layer::custom(CustomCell::new("odd", odd))], 3, None, 1)
}

#[test]
fn an_invalid_custom_cell_is_an_error_when_the_model_is_made() {
    let variable = Variable::weight("v", &[2]);
    let refused = |state: &[usize], output, variable: Variable| {
        made(Odd { state: state.to_vec(), output, variable, rows: 2 }).unwrap_err().to_string()
    };
    for (text, expected) in [
        (refused(&[], 3, variable.clone()), "state_size is []"),
        (refused(&[3, 0], 3, variable.clone()), "state_size is [3, 0]"),
        (refused(&[3], 0, variable.clone()), "output_size is 0"),
        (refused(&[3], 3, Variable::weight("w", &[2])), "variable \"w\" needs a unique name"),
        (refused(&[3], 3, Variable::weight("a b", &[2])), "variable \"a b\" needs a unique name"),
        (refused(&[3], 3, Variable::weight("v", &[1 << 40, 1 << 40])), "expected at most 2^31 elements"),
        (
            refused(&[3], 3, Variable::weight("highway_bias", &[2])),
            "variable \"highway_bias\" needs a unique name",
        ),
        (refused(&[2], 3, variable.clone()), "a step of two rows with a state of 2"),
        (refused(&[4], 3, variable.clone()), "inputs left a part of next_state unwritten"),
        (refused(&[3], 4, variable.clone()), "inputs left a part of outputs unwritten"),
    ] {
        assert!(text.starts_with("custom = odd is invalid: ") && text.contains(expected), "{text}");
    }
    let odd = |rows| Odd { state: vec![3], output: 3, variable: variable.clone(), rows };
    assert!(made(odd(1)).unwrap_err().to_string().contains("left a part of next_state unwritten"));
    made(odd(2)).unwrap();
}

#[test]
fn variables_of_a_custom_cell_are_copied_under_their_names() {
    let model = Model::of_layers(&[Layer::custom(pair(2))], 3, None, 1).unwrap();
    let mut parameters = model.parameters().clone();
    let (weight, own) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [7.0, 8.0]);
    let all = |name: &str| match name {
        "weight" => Some(&weight[..]),
        "loop" => Some(&own[..]),
        _ => None,
    };
    copy_layer(model.config(), 0, &mut parameters, &all).unwrap();
    assert_eq!(parameters.get("rnn.weight_l0"), Some(&weight[..]));
    assert_eq!(parameters.get("rnn.loop_l0"), Some(&own[..]));
    let some = |name: &str| (name == "weight").then_some(&weight[..]);
    let error = copy_layer(model.config(), 0, &mut parameters, &some).unwrap_err().to_string();
    assert_eq!(error, "tensor loop: found nothing, expected 2 values, for layer 0");
}
