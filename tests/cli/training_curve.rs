//! `steps.jsonl`, the training curve, and event files for TensorBoard.

use super::{
    resume::{assert_same, curve},
    *,
};

fn event_files(home: &Home, run: &str) -> Vec<String> {
    let names = file_names(&home.path(run)).into_iter();
    names.filter(|name| name.starts_with("events.out.tfevents.")).collect()
}

#[test]
fn each_point_of_the_curve_is_the_mean_of_its_steps() {
    let home = Home::new();
    home.train("--out fine --log-every 1").success();
    home.train("--out coarse --log-every 8").success();
    let steps =
        |run: &str| -> Vec<_> { curve(&home, run).iter().map(|point| point["step"].as_u64()).collect() };
    assert_eq!(steps("fine"), (1..=20).map(Some).collect::<Vec<_>>());
    assert_eq!(steps("coarse"), [8, 16, 20].map(Some));
    let losses = |run: &str| -> Vec<f64> {
        curve(&home, run).iter().map(|point| point["loss"].as_f64().expect("a number")).collect()
    };
    let (fine, coarse) = (losses("fine"), losses("coarse"));
    assert!((coarse[0] - fine[..8].iter().sum::<f64>() / 8.0).abs() < 1e-12);
    assert!((coarse[2] - fine[16..].iter().sum::<f64>() / 4.0).abs() < 1e-12);
    // An evaluation's training loss is the mean of the same steps.
    let metrics = json_lines(&home.read("fine/metrics.jsonl"));
    let mean = metrics[0]["train_loss"].as_f64().expect("a number");
    assert!((mean - fine[..5].iter().sum::<f64>() / 5.0).abs() < 1e-12);
}

#[test]
fn the_curve_of_a_resumed_run_continues() {
    let home = Home::new();
    home.train("--out whole --log-every 7 --tensorboard").success();
    // Step 12 is between two points, and the incomplete line is as after a crash.
    home.train("--out halves --log-every 7 --tensorboard --stop-after 12").success();
    let written = home.read("halves/steps.jsonl");
    home.write(
        "halves/steps.jsonl",
        format!("{written}{}{{\"st", written.replace("\"step\":7", "\"step\":14")),
    );
    let before = event_files(&home, "halves");
    home.run("train --resume --out halves --threads 2").success();
    assert_same(&home, "whole", "halves");
    let after = event_files(&home, "halves");
    assert!(before.len() == 1 && after.len() == 2 && after[1] > before[0], "{before:?} {after:?}");
    let length = |run: &str, name: &String| home.path(run).join(name).metadata().expect("a file").len();
    assert_eq!(length("halves", &before[0]), 0, "what TensorBoard may have open");
    assert_eq!(
        length("whole", &event_files(&home, "whole")[0]),
        length("halves", &after[1]),
        "as many events"
    );
}

#[test]
fn the_curve_ends_when_patience_ends_the_run() {
    let home = Home::new();
    home.train("--out here --log-every 7 --learning-rate 1e-30 --patience 1").success();
    let curve: Vec<_> = curve(&home, "here").iter().map(|point| point["step"].as_u64()).collect();
    assert_eq!(curve, [7, 10].map(Some));
}
