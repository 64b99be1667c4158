//! The largest difference from each fixture, compared with the table in docs/fixtures.md.

use super::{
    bidirectional_layers, fixed_sizes, fixture, frameworks, layers, losses, optimizers, tensorflow_training,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::{env, fs, path::PathBuf};

thread_local! {
    static LARGEST: RefCell<BTreeMap<String, f64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Records a difference under the fixture's name, which is the start of `what`.
pub fn record(what: &str, difference: f64) {
    let name = what.split([':', ',', ' ']).next().unwrap_or_default();
    if name.starts_with("torch-") || name.starts_with("tensorflow-") || name.starts_with("keras-") {
        LARGEST.with_borrow_mut(|all| {
            let largest = all.entry(name.to_owned()).or_default();
            *largest = largest.max(difference);
        });
    }
}

fn measure() -> BTreeMap<String, f64> {
    LARGEST.with_borrow_mut(BTreeMap::clear);
    frameworks::a_plan_has_the_fixtures_logits_and_states();
    frameworks::losses_states_and_gradients_match_the_fixtures();
    frameworks::packed_sequences_match_the_fixtures();
    frameworks::ten_training_steps_match_pytorch();
    frameworks::the_softmax_loss_and_its_gradient_match_tensorflow();
    fixed_sizes::an_lstm_with_a_head_has_pytorchs_outputs();
    fixed_sizes::a_gru_with_a_head_has_pytorchs_outputs();
    layers::layers_stacks_and_wrappers_match_tensorflow();
    layers::a_gru_with_reset_after_matches_keras();
    layers::bidirectional_layers_match_tensorflow();
    layers::a_projected_lstm_matches_pytorch();
    bidirectional_layers::bidirectional_layers_match_pytorch();
    losses::losses_of_dense_labels_match_tensorflow();
    losses::losses_of_smoothed_labels_match_tensorflow();
    losses::losses_by_example_match_tensorflow();
    losses::sequence_losses_match_tensorflow();
    losses::top_k_and_accuracy_match_tensorflow();
    optimizers::ten_updates_match_the_fixtures();
    tensorflow_training::fifty_updates_match_the_lectures_program();
    LARGEST.with_borrow(BTreeMap::clone)
}

/// Reads the rows `| fixture | largest difference |` of the document.
fn rows(text: &str) -> BTreeMap<String, f64> {
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        Some((cells.next()?.trim_matches('`').to_owned(), cells.next()?.parse().ok()?))
    };
    text.lines().filter(|line| line.starts_with("| `")).filter_map(row).collect()
}

/// Returns the names of all fixtures.
fn files() -> BTreeSet<String> {
    let files = fs::read_dir(fixture::folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = files.map(|file| file.into_string().unwrap());
    names.filter_map(|file| file.strip_suffix(".safetensors").map(str::to_owned)).collect()
}

/// `UNROLLED_WRITE_DIFFERENCES=1` rewrites the table.
#[test]
fn the_table_states_the_largest_difference_of_each_fixture() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/fixtures.md");
    let (found, text) = (measure(), fs::read_to_string(&path).unwrap());
    let compared: BTreeSet<String> = found.keys().cloned().collect();
    let missing: Vec<_> = compared.symmetric_difference(&files()).cloned().collect();
    assert!(missing.is_empty(), "files that no test measured, or measured without a file: {missing:?}");
    if env::var_os("UNROLLED_WRITE_DIFFERENCES").is_some() {
        let before = text.split("| fixture |").next().unwrap();
        let lines: String =
            found.iter().map(|(name, value)| format!("| `{name}` | {value:.1e} |\n")).collect();
        fs::write(&path, format!("{before}| fixture | largest difference |\n|---|---|\n{lines}")).unwrap();
        return;
    }
    let stated = rows(&text);
    assert!(found.keys().eq(stated.keys()), "docs/fixtures.md has other fixtures: {:?}", found.keys());
    for (name, value) in found {
        // The table has two digits, and the portable SIMD backend rounds differently.
        assert!(value <= 8.0 * stated[&name] + 1e-6, "{name}: {value:e}, stated {:e}", stated[&name]);
    }
}
