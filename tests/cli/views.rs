//! `watch`, `report` and `compare`.

use super::*;

const LETTERS: &str = "--hidden 8 --batch 2 --steps 4 --max-steps 12 --eval-every 4 --threads 1";

#[test]
fn watch_shows_the_state_of_a_run() {
    let home = Home::new();
    home.train("--out here --stop-after 12").success();
    let shown = stdout(&home.run("watch here --once").success());
    let parts = [
        "here  stopped",
        "LSTM, 1 layer of 16, embedding of 16; ",
        "step 12 of 20 (60%)",
        "validation",
        "characters per second",
        "sample 2 of 2, at step 10",
    ];
    parts.iter().for_each(|part| assert!(shown.contains(part), "{part:?} in {shown}"));
    fs::remove_file(home.path("here/status.json")).expect("there");
    let shown = stdout(&home.run("watch here --once").success());
    assert!(shown.contains("step 12 of 20 (60%)"), "of the last checkpoint, not of the best: {shown}");
    home.run("train --resume --out here").success();
    let shown = stdout(&home.run("watch here --once").success());
    assert!(shown.contains("here  done") && shown.contains("step 20 of 20 (100%)"), "{shown}");
    // Files that an earlier version or a copied checkpoint lacks are replaced by the checkpoint.
    ["steps.jsonl", "status.json", "samples.jsonl", "metrics.jsonl", "manifest.json"]
        .iter()
        .for_each(|name| fs::remove_file(home.path("here").join(name)).expect("there"));
    let shown = stdout(&home.run("watch here/checkpoint.safetensors --once").success());
    assert!(shown.contains("here  done") && shown.contains("none yet"), "{shown}");
    home.run("report here").success();
    home.run("compare here").success();
}

#[test]
fn a_report_is_one_self_contained_page() {
    let home = Home::new();
    home.write("text <&>.txt", "<script>a</script> & ".repeat(60));
    let mut command = home.command("train");
    command.arg("text <&>.txt").args(LETTERS.split_whitespace()).args(["--out", "<run>"]).assert().success();
    let message = stdout(&home.run("report <run>").success());
    assert_eq!(message, "<run>/report.html\n");
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
        assert!(!page.contains(outside), "{outside} in a self-contained page");
    }
    home.run("report <run> --out page.html").success();
    assert_eq!(home.read("page.html"), page);
}

#[test]
fn compare_shows_the_settings_that_differ() {
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
        "corpus",
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
