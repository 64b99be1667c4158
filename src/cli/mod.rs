//! The command line: one file per sub-command, and what they share.

mod bench;
mod compare;
mod config;
mod curves;
mod eval;
mod failure;
mod figures;
mod find_rate;
mod import;
mod inspect;
mod numbers;
mod options;
mod origin;
mod output;
mod phases;
mod plot;
mod presets;
mod progress;
mod report;
mod run_folder;
mod run_options;
mod run_view;
mod sample;
mod signals;
mod terminal_chart;
mod text;
mod train;
mod visible;
mod watch;

use clap::{Parser, Subcommand, error::ErrorKind};
use failure::Failure;
use std::{ffi::OsString, process::ExitCode};

/// Trains and runs recurrent networks that write text, one character at a time.
#[derive(Parser)]
#[command(name = "unrolled", version, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(Box<train::Train>),
    Eval(eval::Eval),
    Sample(sample::Sample),
    Bench(bench::BenchCommand),
    Inspect(inspect::Inspect),
    Import(import::ImportCommand),
    Watch(watch::Watch),
    Report(report::Report),
    Compare(compare::Compare),
    FindRate(Box<find_rate::FindRate>),
    Presets(presets::Presets),
}

/// Runs the command that the arguments name; its exit code is the process's.
pub fn main() -> ExitCode {
    match parse(std::env::args_os()) {
        Ok(cli) => report(cli.run()),
        Err(error) => refuse(&error),
    }
}

impl Cli {
    fn run(self) -> Result<(), Failure> {
        unrolled::corpus::install_truncation_guard()?;
        match self.command {
            Command::Train(options) => options.run(),
            Command::Eval(options) => options.run(),
            Command::Sample(options) => options.run(),
            Command::Bench(options) => options.run(),
            Command::Inspect(options) => options.run(),
            Command::Import(options) => options.run(),
            Command::Watch(options) => options.run(),
            Command::Report(options) => options.run(),
            Command::Compare(options) => options.run(),
            Command::FindRate(options) => options.run(),
            Command::Presets(options) => options.run(),
        }
    }
}

fn parse<T: Into<OsString>>(arguments: impl IntoIterator<Item = T>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(joined(arguments.into_iter().map(Into::into)))
}

/// Joins a negative number to the flag before it: `--seed -1` becomes `--seed=-1`. Otherwise -1 would be taken for a flag,
/// and not for a value that `--seed` can refuse.
fn joined(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let negative = |text: &str| text.starts_with('-') && text.parse::<f64>().is_ok();
    let mut joined: Vec<OsString> = Vec::new();
    for argument in arguments {
        let value = argument.to_str().filter(|text| negative(text));
        match joined.last_mut().filter(|last| value.is_some() && is_flag(last)) {
            Some(flag) => flag.push(format!("={}", value.unwrap_or_default())),
            None => joined.push(argument),
        }
    }
    joined
}

/// `--name`, without a value and not the `--` that ends all flags.
fn is_flag(argument: &OsString) -> bool {
    argument.to_str().is_some_and(|text| text.len() > 2 && text.starts_with("--") && !text.contains('='))
}

fn report(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else { return ExitCode::SUCCESS };
    if let Some(message) = failure.message() {
        output::note(&format!("error: {message}"));
    }
    ExitCode::from(failure.exit_code())
}

/// Help and version go to standard output; a wrong argument becomes one line.
fn refuse(error: &clap::Error) -> ExitCode {
    let shows_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if shows_help {
        // Nobody is left to be told when the terminal is gone.
        let _ = error.print();
    } else {
        output::note(&one_line(&error.render().to_string()));
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// The message and the tips of clap's paragraphs, without the usage that `--help` prints better.
fn one_line(rendered: &str) -> String {
    let kept = rendered.lines().map(str::trim).filter(|line| !line.is_empty());
    let kept: Vec<_> = kept
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .collect();
    let mut line = plain_tip(&kept.join(" ").replace(" tip:", "; tip:"));
    line.push_str("; `--help` lists what there is");
    line
}

/// clap advises `-- -x` for a value that begins with a minus, which works for paths alone.
fn plain_tip(line: &str) -> String {
    let tip = line.split_once(" as a value, use '-- ").and_then(|(before, after)| {
        let (value, rest) = after.split_once('\'')?;
        Some(format!("{before} as the value of a flag, write --flag={value}{rest}"))
    });
    tip.unwrap_or_else(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_wrong_argument_is_told_in_one_line() {
        let told = |arguments: &[&str]| {
            let error = parse(arguments).err().expect("a wrong argument");
            assert_eq!(error.exit_code(), 2);
            one_line(&error.render().to_string())
        };
        let unknown = told(&["unrolled", "train", "--hiden", "3"]);
        assert!(unknown.starts_with("error: unexpected argument '--hiden' found"), "{unknown}");
        assert!(unknown.contains("'--hidden'") && !unknown.contains('\n'), "{unknown}");
        let value = told(&["unrolled", "train", "--cell", "lstn"]);
        assert!(value.contains("[possible values: rnn, lstm, gru]") && !value.contains('\n'), "{value}");
        let preset = told(&["unrolled", "train", "--preset", "nope"]);
        assert!(preset.contains("min-char-rnn"), "{preset}");
        let zero = told(&["unrolled", "train", "--threads", "0"]);
        assert!(zero.contains("'0' for '--threads"), "{zero}");
        let negative = told(&["unrolled", "train", "--seed", "-1"]);
        assert!(
            negative.contains("'-1' for '--seed <N>': expected a whole number of 0 or above"),
            "{negative}"
        );
        let word = told(&["unrolled", "sample", "--prompt", "-x"]);
        assert!(word.contains("tip: to pass '-x' as the value of a flag, write --flag=-x;"), "{word}");
        let resume = told(&["unrolled", "train", "--resume"]);
        assert!(resume.contains("--out"), "{resume}");
    }
}
