//! `unrolled bench`: the fields agree with each other, and wrong values are errors.

use super::*;

const SMALL: &str = "bench --hidden 10 --batch 4 --steps 3 --vocab 30 --threads 1 --seconds 0.01";

const FIELDS: [&str; 19] = [
    "chars_per_window",
    "cores",
    "first_cache_bytes",
    "forward_chars_per_second",
    "forward_gflops",
    "forward_setup_seconds",
    "isa",
    "mode",
    "peak_gflops",
    "precision",
    "processor",
    "second_cache_bytes",
    "setup_seconds",
    "step_microseconds",
    "third_cache_bytes",
    "threads",
    "train_chars_per_second",
    "train_gflops",
    "weights_read_microseconds",
];

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key} is a number in {value}"))
}

/// Checks the fields against the arithmetic of a model whose forward pass takes `operations` per
/// symbol.
fn consistent(value: &Value, operations: f64) {
    assert_eq!(keys(value), FIELDS);
    for (rate, gflops, factor) in [("train", "train_gflops", 3.0), ("forward", "forward_gflops", 1.0)] {
        let expected = factor * operations * number(value, &format!("{rate}_chars_per_second")) / 1e9;
        assert!((number(value, gflops) / expected - 1.0).abs() < 1e-9, "{value}");
    }
    for positive in ["step_microseconds", "setup_seconds", "forward_setup_seconds", "peak_gflops"] {
        assert!(number(value, positive) > 0.0, "{positive} in {value}");
    }
}

#[test]
fn json_is_one_object_with_all_results() {
    let home = Home::new();
    let lines = json_lines(&stdout(&home.run(&format!("{SMALL} --json")).success()));
    assert_eq!(lines.len(), 1);
    consistent(&lines[0], 2.0 * (4.0 * 100.0 + 300.0));
    assert_eq!((&lines[0]["mode"], &lines[0]["threads"]), (&"static".into(), &1.into()));
    let machine = &lines[0];
    assert!(
        machine["processor"].as_str().is_some_and(|name| !name.is_empty()) && number(machine, "cores") >= 1.0
    );
    let [first, second, third] =
        ["first", "second", "third"].map(|level| number(machine, &format!("{level}_cache_bytes")));
    assert!(first >= 8192.0 && second > first && third >= 0.0, "{machine}");
    let isas = ["portable", "avx2", "avx512", "avx512bf16", "amx"];
    assert!(isas.map(Value::from).contains(&lines[0]["isa"]));
    assert_eq!(lines[0]["precision"], "f32");
}

#[test]
fn every_flag_of_the_model_has_an_effect() {
    let home = Home::new();
    let one = |flags: &str| {
        let start = "bench --json --batch 4 --steps 3 --seconds 0.01";
        let lines = json_lines(&stdout(&home.run(&format!("{start} {flags}")).success()));
        lines.into_iter().next().expect("one object")
    };
    let gru = one("--hidden 10 --vocab 30 --cell gru --reset before --layers 2 --input one-hot");
    consistent(&gru, 2.0 * (900.0 + 300.0));
    let rnn = one("--hidden 10 --vocab 30 --cell rnn --activation relu --embedding 7 --seed 3");
    consistent(&rnn, 2.0 * (100.0 + 300.0));
    let dynamic = one("--hidden 10 --mode dynamic --threads 2");
    assert_eq!((&dynamic["mode"], &dynamic["threads"]), (&"dynamic".into(), &2.into()));
    consistent(&dynamic, 2.0 * (400.0 + 650.0));
    let rounded = one("--hidden 10 --precision bf16 --threads 2");
    assert_eq!(rounded["precision"], "bf16");
    consistent(&rounded, 2.0 * (400.0 + 650.0));
    consistent(&one("--vocab 70000 --hidden 2"), 2.0 * (16.0 + 140_000.0));
}

#[test]
fn the_table_shows_all_results() {
    let home = Home::new();
    let table = stdout(&home.run(&format!("{SMALL} --cell gru")).success());
    let start = "gru (reset after) 1x10, batch 4 x 3 steps, 30 symbols (embedding), 1 thread\n";
    assert!(table.starts_with(start), "{table}");
    let machine = table.lines().nth(1).expect("the machine on a line of its own");
    let line = [" KB L1, ", " L2", "), ", " core", ", products in f32"];
    assert!(line.iter().all(|part| machine.contains(part)), "{machine}");
    for part in ["\nstatic\n", "training", "forward", "symbols/s", "% of peak", "one step", "setup", "peak"] {
        assert!(table.contains(part), "{part:?} in {table}");
    }
    assert!(!table.contains("dynamic"), "{table}");
}

/// Returns the names and layers of the phases, and the seconds of their step.
fn phases(value: &Value) -> (Vec<String>, f64) {
    let rows = value["phases"].as_array().expect("an array of phases");
    let place = |row: &Value| format!("{} {}", row["name"].as_str().expect("a name"), row["layer"]);
    for row in rows {
        assert_eq!(keys(row), ["gflops", "layer", "name", "percent_of_peak", "pieces", "seconds", "threads"]);
        assert!(number(row, "seconds") >= 0.0, "{row}");
        let rates = [&row["gflops"], &row["percent_of_peak"]];
        assert!(
            rates.iter().all(|rate| rate.is_null()) || rates.iter().all(|rate| rate.as_f64() > Some(0.0))
        );
    }
    let (sum, step): (f64, _) =
        (rows.iter().map(|row| number(row, "seconds")).sum(), number(value, "phases_step_seconds"));
    assert!((sum / step - 1.0).abs() < 1e-9, "{sum} of {step} in {value}");
    (rows.iter().map(place).collect(), step)
}

#[test]
fn the_phases_add_up_to_the_step() {
    let home = Home::new();
    let lines = json_lines(&stdout(&home.run(&format!("{SMALL} --phases --json")).success()));
    let (places, seconds) = phases(&lines[0]);
    let expected = "fill null, pack null, input null, forward 0, head null, loss null, head backward null, backward 0, \
                    weight gradient 0, head gradient null, input gradient null, norm null, update null, other null";
    assert_eq!(places.join(", "), expected);
    assert!(seconds > 0.0 && seconds.is_finite());
    let forward = &lines[0]["phases"][3];
    let operations = 2.0 * 4.0 * 100.0 * 12.0;
    let expected = operations / number(forward, "seconds") / 1e9;
    assert!((number(forward, "gflops") / expected - 1.0).abs() < 1e-9, "{forward}");
    assert!(lines[0]["phases"][0]["gflops"].is_null());

    let two = SMALL.replace("--threads 1", "--threads 2");
    let compared = format!("{two} --compare static,dynamic --layers 2 --phases");
    for line in json_lines(&stdout(&home.run(&format!("{compared} --json")).success())) {
        let (places, _) = phases(&line);
        assert!(
            ["backward 1", "weight gradient 1", "waiting in passes null", "other null"]
                .iter()
                .all(|p| places.contains(&(*p).into()))
        );
    }
    let table = stdout(&home.run(&compared).success());
    for part in [
        "static: the phases of the shortest training step, ",
        "dynamic: the phases",
        "  forward, layer 1",
        "  other ",
    ] {
        assert!(table.contains(part), "{part:?} in {table}");
    }
    let mut fields = [&FIELDS[..], &["division", "phases", "phases_step_seconds"]].concat();
    fields.sort_unstable();
    assert_eq!(keys(&lines[0]), fields);
    let plain = stdout(&home.run(SMALL).success());
    assert!(!plain.contains("phases"), "{plain}");
}

#[test]
fn two_modes_are_compared() {
    let home = Home::new();
    let lines = json_lines(&stdout(&home.run(&format!("{SMALL} --compare dynamic,static --json")).success()));
    assert_eq!(lines.iter().map(|line| &line["mode"]).collect::<Vec<_>>(), ["dynamic", "static"]);
    lines.iter().for_each(|line| consistent(line, 1400.0));
    let table = stdout(&home.run(&format!("{SMALL} --compare static,dynamic")).success());
    for start in ["training: static ", "forward: static "] {
        let line = table.lines().find(|line| line.starts_with(start)).expect("a line for each comparison");
        assert!(line.contains("; dynamic ") && line.contains(" times the speed and "), "{line}");
        let ends = ["from the start", "steps", "step", "its setup never pays off"];
        assert!(ends.iter().any(|end| line.ends_with(end)), "{line}");
    }
}

#[test]
fn wrong_values_are_errors() {
    let home = Home::new();
    let message = |flags: &str, parts: &[&str]| refused(home.run(&format!("{SMALL} {flags}")), 2, parts);
    message("--compare static,eager", &["'eager' for '--compare", "[possible values: static, dynamic]"]);
    message("--compare static", &["--compare static: expected two different modes, static,dynamic"]);
    message("--compare static,static", &["--compare static,static: expected two different modes"]);
    message("--compare static,dynamic --mode static", &["--compare", "--mode"]);
    message("--cell lstn", &["rnn, lstm, gru"]);
    message("--precision f16", &["'f16' for '--precision", "[possible values: f32, bf16, int8]"]);
    refused(home.run("bench --seconds 0"), 2, &["seconds = 0 is invalid: give a finite number above 0"]);
    refused(home.run("bench --seconds -1"), 2, &["seconds = -1 is invalid"]);
    refused(home.run("bench --seconds nan"), 2, &["seconds = NaN is invalid"]);
    refused(home.run("bench --vocab 0"), 2, &["vocab = 0 is invalid: give a number from 1 to 1112031"]);
    refused(home.run("bench --vocab 2000000"), 2, &["vocab = 2000000 is invalid"]);
    refused(home.run("bench --hidden 0"), 2, &["'0' for '--hidden <N>': expected a whole number of 1"]);
    refused(home.run("bench --threads 0"), 2, &["'0' for '--threads"]);
    refused(home.run("bench --hidden 4000000"), 1, &["memory", "hidden"]);
}
