//! `--max-memory`.

use super::*;

#[test]
fn a_run_above_the_limit_is_an_error_with_both_amounts() {
    let home = Home::new();
    let large = "train text.txt --hidden 2000 --batch 4 --steps 8 --max-memory 50MB --out here";
    refused(home.run(large), 2, &["--max-memory 47.7 MiB: this run needs about ", "lower hidden"]);
    assert!(!home.path("here").exists());
    let run = home.train("--max-memory 50MB --out here").success();
    assert!(stderr(&run).contains("memory  about "), "{}", stderr(&run));
}

/// With the usual digits both amounts would look equal, and the message would contradict itself.
#[test]
fn the_two_amounts_of_the_error_differ() {
    let home = Home::new();
    let figures = |most: &str| {
        let error_text = stderr(&home.train(&format!("--max-memory {most} --out here")).code(2));
        let (granted, needed) = error_text.split_once(": this run needs about ").expect("two amounts");
        let granted = granted.strip_prefix("error: --max-memory ").expect("the flag");
        (granted.to_owned(), needed.split(';').next().expect("an amount").to_owned())
    };
    let (_, needed) = figures("1K");
    let (number, unit) = needed.split_once(' ').expect("a number and a unit");
    let lower = number.parse::<f64>().expect("a number") - 0.0501;
    let scale = if unit == "KiB" { 1024.0 } else { 1024.0 * 1024.0 };
    let (granted, needed) = figures(&format!("{}", (lower * scale) as u64));
    assert_ne!(granted, needed);
}
