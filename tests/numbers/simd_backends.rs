//! The SIMD backends compared with each other. A process uses one backend, so this test starts its
//! own binary again.

use super::determinism::trained;
use super::{batch, cells, in_bf16, label, model, models, run_of, underflowing};
use std::{env, fs, path::Path, process::Command};
use unrolled::exec::Window;
use unrolled::loss::{Loss, Objective};
use unrolled::network::Network;
use unrolled::{Precision, Settings};
use unrolled_kernels::{ISA_VARIABLE, Isa};

/// The file for the results of the started process.
const FILE_VARIABLE: &str = "UNROLLED_TEST_NUMBERS";

fn runs() -> Vec<Settings> {
    let models = models();
    let runs = models.iter().flat_map(|model| {
        let [plain, dropping] = [0.0, 0.3].map(|dropout| run_of(model, dropout));
        [plain, dropping.clone(), in_bf16(dropping)]
    });
    let underflowing = cells().into_iter().map(|cell| underflowing(&cell, 1e-30));
    runs.chain(underflowing.flat_map(|run| [run.clone(), in_bf16(run)])).collect()
}

/// Returns the trained parameters of every run, and gradients of windows that run on one thread.
#[test]
fn prints_the_numbers_of_this_process() {
    let Some(path) = env::var_os(FILE_VARIABLE) else { return };
    let mut numbers = Vec::new();
    for settings in runs() {
        let gradient = first_gradient(&settings);
        numbers.extend(gradient);
        numbers.extend_from_slice(&trained(&settings, 1).model().parameters().values);
    }
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    fs::write(path, bytes).unwrap();
}

fn first_gradient(settings: &Settings) -> Vec<f32> {
    let (model, batch) = (model(settings, 40), batch(9, 5, 40));
    let mut network = Network::with_precision(model, settings.run.precision, Some(1)).unwrap();
    let objective = Objective::new(Loss::CROSS_ENTROPY, &batch.targets);
    network.differentiate(&Window::new(9, 5, &batch.inputs), &objective).unwrap();
    network.gradient().values.clone()
}

/// Returns gradient and trained parameters of each run.
fn numbers_on(isa: Isa, folder: &Path) -> Vec<[Vec<f32>; 2]> {
    let path = folder.join(isa.name());
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "numbers::simd_backends::prints_the_numbers_of_this_process"])
        .env(ISA_VARIABLE, isa.name())
        .env(FILE_VARIABLE, &path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let bytes = fs::read(&path).expect("the other process ran the test of that name");
    let mut numbers = bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    let mut take = |count| -> Vec<f32> { numbers.by_ref().take(count).collect() };
    runs().iter().map(|run| [(); 2].map(|()| take(model(run, 40).parameters().values.len()))).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn avx2_and_avx512_give_equal_bits_and_portable_nearly() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<(Isa, _)> = Isa::all().map(|isa| (isa, numbers_on(isa, folder.path()))).collect();
    let (_, portable) = &all[0];
    let (_, fastest) = &all[all.len() - 1];
    for (isa, numbers) in &all[1..] {
        for ((run, found), expected) in runs().iter().zip(numbers).zip(fastest) {
            let same = found
                .iter()
                .flatten()
                .map(|v| v.to_bits())
                .eq(expected.iter().flatten().map(|v| v.to_bits()));
            assert!(same, "{}: {} differs", label(run), isa.name());
        }
    }
    for ((run, found), expected) in runs().iter().zip(portable).zip(fastest) {
        // Its sums have another order, which changes a few units in the last place of the largest
        // terms.
        let gradient = largest_difference(&found[0], &expected[0]);
        // In bf16, a value next to the middle of two bf16 numbers may be rounded to either.
        let rounded = run.run.precision == Precision::Bf16;
        let most = if rounded { 1e-5 } else { 1e-6 };
        assert!(gradient < most, "{}: gradients {gradient} apart", label(run));
        // Twelve steps of Adam at 4e-3 could move a parameter by 0.05 if its gradient were only
        // rounding noise. No gradient here is, and the differences are a small part of one step. In
        // bf16 some gradients of ReLU are: they move a parameter by three steps.
        let trained = largest_difference(&found[1], &expected[1]);
        let most = if rounded { 1.2e-2 } else { 4e-3 };
        assert!(trained < most, "{}: trained parameters {trained} apart", label(run));
    }
}

/// AMX adds in another order, so its model has bits of its own.
#[test]
fn the_model_of_amx_has_the_same_bits_for_every_number_of_threads() {
    let Some(model) = Isa::amx_model() else { return };
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "numbers::determinism::one_model_of_each_cell_gives_the_same_bits_in_bf16"])
        .env(ISA_VARIABLE, model.name())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}
