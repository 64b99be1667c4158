//! Help, completions, manual pages, short flags and `--quiet`.

use super::{resume::assert_same, *};

#[test]
fn help_explains_every_command() {
    let home = Home::new();
    let output = |arguments: &str| stdout(&home.run(arguments).success());
    let all = output("help");
    assert_eq!(all, output("--help"));
    for command in ["train", "eval", "sample", "export", "quantize", "completions", "man", "help"] {
        assert!(all.contains(&format!("\n  {command} ")), "{command} in {all}");
        let help = output(&format!("help {command}"));
        assert!(help.contains(&format!("Usage: unrolled {command}")), "{help}");
        assert_eq!(help, output(&format!("{command} --help")));
    }
    assert!(output("help --help").contains("Usage: unrolled help"));
    let (short, long) = (output("train -h"), output("train --help"));
    for flag in ["--beta1", "--epoch-decay", "--layer <TOML>"] {
        assert!(long.contains(flag) && !short.contains(flag), "{flag}");
    }
    refused(home.run("help frobnicate"), 2, &["found command \"frobnicate\", expected one of train, "]);
}

#[test]
fn completions_and_manual_pages_name_the_commands() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&home.run(&format!("completions {shell}")).success());
        assert!(script.contains("learning-rate") && script.contains("find-rate"), "{shell}");
    }
    assert!(stdout(&home.run("man").success()).contains("unrolled\\-train(1)"));
    assert!(stdout(&home.run("man train").success()).contains(".TH unrolled-train 1"));
    home.run("man -o pages").success();
    let pages = file_names(&home.path("pages"));
    assert!(pages.contains(&"unrolled.1".to_owned()) && pages.contains(&"unrolled-export.1".to_owned()));
}

#[test]
fn short_flags_do_what_the_long_ones_do() {
    let home = Home::new();
    home.train("--out long --seed 7 --learning-rate 0.01").success();
    let short =
        "train text.txt -o short -s 7 --lr 0.01 -H 16 -b 4 --steps 8 --max-steps 20 --eval-every 5 -j 1";
    home.run(short).success();
    assert_same(&home, "long", "short");
    let sample = |flags: &str| stdout(&home.run(&format!("sample short {flags}")).success());
    assert_eq!(sample("-n 30 -p a -t 0.5 -s 4"), sample("--length 30 --prompt a --temperature 0.5 --seed 4"));
}

#[test]
fn quiet_prints_only_results_warnings_and_errors() {
    let home = Home::new();
    let run = home.train("--quiet --out here").success();
    assert_eq!((stderr(&run), stdout(&run)), (String::new(), String::new()));
    let json = home.run("train --resume -q --out here --json").success();
    assert_eq!(stderr(&json), "");
    assert_eq!(json_lines(&stdout(&json)).len(), 1);
    let eval = home.run("eval here -q").success();
    assert!(stdout(&eval).contains("nats per symbol") && stderr(&eval).is_empty());
    refused(home.run("-q train nowhere.txt"), 1, &["nowhere.txt"]);
    home.write("here/checkpoint.safetensors", "damaged");
    let resumed = stderr(&home.run("train -q --resume --out here").success());
    assert!(resumed.starts_with("warning: ") && resumed.lines().count() == 1, "{resumed}");
}

#[test]
fn training_without_a_path_says_what_it_trains_on() {
    let home = Home::new();
    let run = home.run("train --max-steps 2 --hidden 8 --out here").success();
    let first = stderr(&run).lines().next().expect("a line").to_owned();
    assert!(first.contains("no PATH given, so training on the built-in corpus"), "{first}");
}

#[cfg(not(feature = "mpi"))]
#[test]
fn a_build_without_mpi_refuses_to_be_one_of_several_processes() {
    let home = Home::new();
    let launched = |size: &str, arguments: &str| {
        let mut command = home.command(arguments);
        command.env("OMPI_COMM_WORLD_SIZE", size).env("OMPI_COMM_WORLD_RANK", "0").assert()
    };
    let parts =
        ["found OMPI_COMM_WORLD_SIZE = 4", "built without MPI", "cargo build --release --features mpi"];
    refused(launched("4", &format!("train text.txt {TINY} --out here")), 2, &parts);
    assert!(!home.path("here").exists());
    launched("1", &format!("train text.txt {TINY} --out here")).success();
    refused(launched("4", "eval here"), 2, &parts);
    assert!(stdout(&launched("4", "train --help").success()).contains("Usage:"));
}
