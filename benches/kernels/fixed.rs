//! One step of cells with sizes fixed at compile time, a float in and a float out, beside the time
//! to read the weights once.

use crate::measure::{Group, Peaks, Work};
use crate::values::{assert_close, numbers};
use criterion::Criterion;
use unrolled::bench::read_gigabytes_per_second;
use unrolled::fixed::{FixedCell, Linear, Pipeline, Stage, equations};
use unrolled_kernels::fixed::sliced::SlicedCell;
use unrolled_kernels::fixed::{CellSizes, CellTensors};

/// Number of steps that are compared before one is timed.
const CHECKED: usize = 20;

pub fn run(criterion: &mut Criterion, peaks: &mut Peaks) {
    let mut group = Group::new(criterion, peaks, "fixed sizes, one step");
    sizes::<8>(&mut group);
    sizes::<16>(&mut group);
    sizes::<32>(&mut group);
    sizes::<40>(&mut group);
    sizes::<64>(&mut group);
    sizes::<128>(&mut group);
}

fn sizes<const H: usize>(group: &mut Group<'_>) {
    time::<equations::LstmEquations, 4, 4, 3, H>(group, "LSTM");
    time::<equations::GruAfterEquations, 3, 4, 2, H>(group, "GRU");
}

fn time<K: equations::CellEquations, const G: usize, const B: usize, const V: usize, const H: usize>(
    group: &mut Group<'_>,
    name: &str,
) {
    let id = format!("{name} {H}");
    let weights = G * H * (H + 1) + H;
    let signal = numbers(1000, 5);
    let best = group.time(&id, Work::of(2.0 * weights as f64), checked::<K, G, B, V, H>, |(model, at)| {
        *at = (*at + 1) % signal.len();
        std::hint::black_box(model.step(&[signal[*at]]));
    });
    let Some(seconds) = best else { return };
    let bytes = 4 * weights;
    let read = read_gigabytes_per_second(bytes).expect("an instruction set");
    println!(
        "    {id}: {:.1} ns, {:.2} times the time to read its {:.1} KiB of weights at {read:.0} GB/s",
        seconds * 1e9,
        seconds * 1e9 * read / bytes as f64,
        bytes as f64 / 1024.0
    );
}

type TimedPipeline<K, const G: usize, const B: usize, const V: usize, const H: usize> =
    (Box<Pipeline<FixedCell<K, G, B, V, 1, H>, Linear<H, 1>>>, usize);

/// Returns a model whose first steps equal those of the cell with run-time sizes and its head's
/// sum.
fn checked<K: equations::CellEquations, const G: usize, const B: usize, const V: usize, const H: usize>()
-> TimedPipeline<K, G, B, V, H> {
    let scale = 1.0 / (H as f32).sqrt();
    let draw = |count, seed| -> Vec<f32> { numbers(count, seed).iter().map(|n| n * scale).collect() };
    let [ih, hh, b_ih, b_hh] = [(1, 1), (H, 2), (1, 3), (1, 4)].map(|(k, seed)| draw(G * H * k, seed));
    let (head, bias) = (draw(H, 6), 0.1);
    let fits = "the lengths match the sizes";
    let cell = FixedCell::new(&ih, &hh, &b_ih, &b_hh).expect(fits);
    let mut model = Box::new(Pipeline::new(cell, Linear::new(&head, &[bias]).expect(fits)));
    let sizes = CellSizes { input: 1, hidden: H };
    let mut memory = vec![0.0; SlicedCell::<K>::memory(sizes)];
    let weights = CellTensors { weight_ih: &ih, weight_hh: &hh, bias_ih: &b_ih, bias_hh: &b_hh };
    let mut other = SlicedCell::<K>::new(sizes, weights, &mut memory).expect(fits);
    for x in numbers(CHECKED, 7) {
        let sum: f32 = other.step(&[x]).iter().zip(&head).map(|(h, w)| h * w).sum();
        assert_close(model.step(&[x]), &[bias + sum], 1e-5, "one step");
        let same = model.first.hidden().iter().zip(other.hidden()).all(|(f, e)| f.to_bits() == e.to_bits());
        assert!(same, "sizes fixed at compile time and at run time differ at H = {H}");
    }
    (model, 0)
}
