//! What is seen of a run: its training curve, `watch`, `report`, `compare`, and event files.

use super::{
    resume::{assert_same, curve},
    *,
};

const LETTERS: &str = "--hidden 8 --batch 2 --steps 4 --max-steps 12 --eval-every 4 --threads 1";

fn event_files(home: &Home, run: &str) -> Vec<String> {
    let names = file_names(&home.path(run)).into_iter();
    names.filter(|name| name.starts_with("events.out.tfevents.")).collect()
}

#[test]
fn the_training_curve_has_the_means_of_its_steps() {
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
fn a_curve_goes_on_where_its_run_does() {
    let home = Home::new();
    home.train("--out whole --log-every 7 --tensorboard").success();
    // Step 12 lies between two points, and half a line is what a crash would leave.
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
fn a_curve_ends_where_patience_does() {
    let home = Home::new();
    home.train("--out here --log-every 7 --learning-rate 1e-30 --patience 1").success();
    let curve: Vec<_> = curve(&home, "here").iter().map(|point| point["step"].as_u64()).collect();
    assert_eq!(curve, [7, 10].map(Some));
}

#[test]
fn a_picture_shows_where_a_run_stands() {
    let home = Home::new();
    home.train("--out here --stop-after 12").success();
    let shown = stdout(&home.run("watch here --once").success());
    let parts = [
        "here  stopped",
        "LSTM, 1 layer of 16, embedding of 16; ",
        "step 12 of 20 (60%)",
        "validation",
        "characters a second",
        "sample 2 of 2, at step 10",
    ];
    parts.iter().for_each(|part| assert!(shown.contains(part), "{part:?} in {shown}"));
    fs::remove_file(home.path("here/status.json")).expect("there");
    let shown = stdout(&home.run("watch here --once").success());
    assert!(shown.contains("step 12 of 20 (60%)"), "of the last checkpoint, not of the best: {shown}");
    home.run("train --resume --out here").success();
    let shown = stdout(&home.run("watch here --once").success());
    assert!(shown.contains("here  done") && shown.contains("step 20 of 20 (100%)"), "{shown}");
    // What an earlier version or a copied checkpoint lacks is shown from the checkpoint.
    ["steps.jsonl", "status.json", "samples.jsonl", "metrics.jsonl", "manifest.json"]
        .iter()
        .for_each(|name| fs::remove_file(home.path("here").join(name)).expect("there"));
    let shown = stdout(&home.run("watch here/checkpoint.safetensors --once").success());
    assert!(shown.contains("here  done") && shown.contains("none yet"), "{shown}");
    home.run("report here").success();
    home.run("compare here").success();
}

#[test]
fn a_report_is_one_page_and_escapes_what_it_shows() {
    let home = Home::new();
    home.write("text <&>.txt", "<script>a</script> & ".repeat(60));
    let mut command = home.command("train");
    command.arg("text <&>.txt").args(LETTERS.split_whitespace()).args(["--out", "<run>"]).assert().success();
    let told = stdout(&home.run("report <run>").success());
    assert_eq!(told, "<run>/report.html\n");
    let page = home.read("<run>/report.html");
    let parts = [
        "&lt;run&gt;",
        "Best validation loss",
        "at step 12",
        "Step 12 of 12, done.",
        "text &lt;&amp;&gt;.txt",
        "<th>learning-rate</th>",
    ];
    parts.iter().for_each(|part| assert!(page.contains(part), "{part:?} in {page}"));
    assert_eq!(page.matches("<svg").count(), 5, "loss, accuracy, rate, gradient, speed");
    assert!(!page.contains("<script") && !page.contains("text <"), "{page}");
    for outside in ["src=", "href=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside} in a page that needs nothing but itself");
    }
    home.run("report <run> --out page.html").success();
    assert_eq!(home.read("page.html"), page);
}

#[test]
fn runs_are_compared_by_what_differs() {
    let home = Home::new();
    home.train("--out one").success();
    home.train("--out two --cell gru --val-fraction 0").success();
    home.write("other.txt", "another text ".repeat(40));
    home.run(&format!("train other.txt {LETTERS} --out three")).success();
    let shown = stdout(&home.run("compare one two three --out page.html").success());
    let parts = [
        "best val",
        "a  one    done",
        "b  two    done",
        "cell",
        "\"gru\"",
        "hidden",
        "text",
        "c three",
        "validation loss over symbols",
    ];
    parts.iter().for_each(|part| assert!(shown.contains(part), "{part:?} in {shown}"));
    assert!(!shown.contains("learning-rate"), "the same in all: {shown}");
    let page = home.read("page.html");
    assert!(page.matches("<svg").count() == 1 && page.contains("Settings that differ"), "{page}");
    let rows = json_lines(&stdout(&home.run("compare one two --json --over steps --out c.svg").success()));
    assert_eq!((&rows[0]["run"], &rows[1]["run"]), (&"one".into(), &"two".into()));
    assert!(rows[0]["best_val_loss"].is_f64() && rows[1]["best_val_loss"].is_null());
    assert!(home.read("c.svg").contains(">steps<") || home.read("c.svg").contains("steps"));
    assert!(stdout(&home.run("compare one one").success()).contains("settings: the same"));
}
