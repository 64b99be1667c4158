//! Each error is one line. The exit code is 2 for wrong usage and 1 for anything else.

use super::*;

#[test]
fn wrong_arguments_are_errors() {
    let home = Home::new();
    let train = |arguments: &str| home.run(&format!("train text.txt --json {arguments}"));
    refused(train("--hiden 3"), 2, &["unexpected argument '--hiden'", "'--hidden'"]);
    refused(train("--preset nope"), 2, &["'nope' for '--preset", "min-char-rnn"]);
    refused(train("--cell lstn"), 2, &["rnn, lstm, gru"]);
    refused(train("--threads 0"), 2, &["'0' for '--threads"]);
    refused(train("--stop-after 0"), 2, &["'0' for '--stop-after"]);
    refused(home.run("frobnicate"), 2, &["unrecognized subcommand 'frobnicate'"]);
    for flag in ["hidden", "layers", "batch", "steps"] {
        refused(train(&format!("--{flag} 0")), 2, &[flag, "0"]);
    }
    for wrong in ["learning-rate nan", "learning-rate -1", "dropout 1", "val-fraction 1.5", "clip -1"] {
        refused(train(&format!("--{wrong}")), 2, &[wrong.split(' ').next().expect("a flag")]);
    }
}

#[test]
fn wrong_configuration_files_are_errors() {
    let home = Home::new();
    let message = |text: &str, parts: &[&str]| {
        home.write("c.toml", text);
        refused(home.run("train text.txt --config c.toml"), 2, parts);
    };
    message("hiden = 3", &["c.toml: unknown key hiden: did you mean hidden?"]);
    message(
        "hidden = \"many\"",
        &["c.toml: key hidden: invalid type: string \"many\", expected a whole number of 0 or above"],
    );
    message("cell = \"lstn\"", &["key cell", "`lstn`", "`lstm`"]);
    message("a = 1\nb = = 2", &["c.toml: line 2: "]);
    message("preset = \"nope\"", &["found preset \"nope\", expected one of default", "torch-rnn"]);
    refused(home.run("train text.txt --config none.toml"), 1, &["cannot read none.toml"]);
}

#[test]
fn corpora_that_cannot_be_trained_on_are_errors() {
    let home = Home::new();
    home.write("empty.txt", "");
    home.write("one.txt", "a");
    home.write("latin.txt", b"caf\xe9 and more of it");
    fs::create_dir(home.path("folder")).expect("a folder");
    let message = |path: &str, parts: &[&str]| {
        refused(home.run(&format!("train {path} {TINY} --out run")), 1, parts);
        assert!(!home.path("run").exists(), "{path} leaves no folder behind");
    };
    message("missing.txt", &["missing.txt"]);
    message("empty.txt", &["empty.txt"]);
    message("one.txt", &["too few symbols", "a longer text"]);
    message("latin.txt", &["latin.txt", "3", "--invalid"]);
    message("folder", &["folder"]);
    home.write("short.txt", "just a few symbols");
    message("short.txt", &["needs 33, found 16", "batch"]);
}

#[test]
fn absurd_sizes_are_errors() {
    let home = Home::new();
    refused(
        home.run("train text.txt --hidden 4000000 --batch 1 --steps 1 --out run"),
        1,
        &["memory", "hidden"],
    );
    assert!(!home.path("run").exists());
}

#[test]
fn a_folder_of_another_run_is_an_error() {
    let home = Home::new();
    home.train("--out here").success();
    refused(home.train("--out here"), 1, &["here already holds a run", "--resume", "another --out"]);
}

#[test]
fn invalid_checkpoints_are_errors() {
    let home = Home::new();
    home.train("--out here").success();
    let good = fs::read(home.path("here/best.safetensors")).expect("a checkpoint");
    for command in ["eval", "sample", "inspect"] {
        let message = |parts: &[&str]| refused(home.run(&format!("{command} bad")), 1, parts);
        message(&["bad: no such run folder or checkpoint"]);
        home.write("bad", &good[..good.len() / 2]);
        message(&["bad"]);
        let mut flipped = good.clone();
        let middle = flipped.len() - flipped.len() / 4;
        flipped[middle] ^= 1;
        home.write("bad", flipped);
        message(&["bad", "checksum"]);
        home.write("bad", "not a checkpoint");
        message(&["bad"]);
        fs::remove_file(home.path("bad")).expect("a file");
    }
    refused(home.run("sample"), 1, &["runs: found no run with a checkpoint"]);
}

#[test]
fn samples_that_cannot_be_drawn_are_errors() {
    let home = Home::new();
    home.train("--out here").success();
    refused(home.run("sample here --prompt \u{20ac}"), 1, &["--prompt: the symbol '\u{20ac}'"]);
    home.write("euro.txt", "Line \u{20ac}");
    refused(home.run("sample here --prompt-file euro.txt"), 1, &["euro.txt: the symbol '\u{20ac}' (U+20AC)"]);
    refused(home.run("sample here --prompt-file none.txt"), 1, &["cannot read none.txt"]);
    for wrong in ["--temperature -1", "--temperature nan", "--top-k 0", "--top-p 0", "--top-p 1.5"] {
        let name = wrong.split(' ').next().expect("a flag").trim_start_matches('-');
        refused(home.run(&format!("sample here {wrong}")), 2, &[name]);
    }
    refused(home.run("sample here --prompt a --prompt-file b"), 2, &["--prompt"]);
    refused(home.run("sample here --prompt a --encoding latin1"), 2, &["--encoding", "--prompt"]);
    home.write("long.txt", "a".repeat(8 << 10));
    let long = fs::OpenOptions::new().write(true).open(home.path("long.txt")).expect("a file");
    long.set_len((256 << 20) + 1).expect("a sparse file");
    refused(home.run("sample here --prompt-file long.txt"), 1, &["long.txt is larger than 256 MiB"]);
}

#[test]
fn corpora_that_cannot_be_evaluated_are_errors() {
    let home = Home::new();
    home.train("--out here").success();
    home.write("other.txt", "Line \u{20ac} Line Line");
    refused(home.run("eval here other.txt"), 1, &["\u{20ac}"]);
    refused(home.run("eval here --split test"), 2, &["the test split is empty", "--split"]);
    refused(home.run("eval here --eval-streams 0"), 2, &["--eval-streams"]);
    refused(home.run("eval here/best.safetensors --checkpoint last"), 2, &["--checkpoint", "is a file"]);
    fs::copy(home.path("here/best.safetensors"), home.path("alone.safetensors")).expect("a copy");
    refused(home.run("eval alone.safetensors"), 1, &["name a corpus after RUN"]);
}

#[test]
fn folders_that_cannot_be_written_are_errors() {
    let home = Home::new();
    refused(home.train("--out text.txt"), 1, &["text.txt: found a file, expected a folder"]);
    ends_with_an_error(&home.train("--out text.txt/run"), "text.txt/run");
    #[cfg(target_os = "linux")]
    ends_with_an_error(&home.train("--out /proc/run"), "/proc/run");
}

fn ends_with_an_error(assert: &Assert, part: &str) {
    let message = stderr(assert);
    assert_eq!(assert.get_output().status.code(), Some(1), "{message}");
    let last = message.lines().last().expect("a line");
    assert!(last.starts_with("error: cannot create ") && last.contains(part), "{message}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_for_standard_output_is_an_error() {
    let home = Home::new();
    home.train("--out here").success();
    for arguments in
        [&format!("train text.txt {TINY} --json --out full"), "sample here", "eval here", "presets"]
    {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_unrolled"));
        command.current_dir(home.path("")).args(arguments.split_whitespace()).stdout(full);
        let output = command.output().expect("the command starts");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("error: cannot write to standard output: "), "{message}");
    }
    home.run("train --resume --out full").success();
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_error() {
    let home = Home::new();
    home.train("--out here").success();
    for arguments in ["sample here --length 100000000", "presets", "inspect here"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_unrolled"));
        command.current_dir(home.path("")).args(arguments.split_whitespace());
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        command.stdout(writer).stderr(std::process::Stdio::piped());
        let output = command.output().expect("the command starts");
        assert_eq!(output.status.code(), Some(0), "{arguments}");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
