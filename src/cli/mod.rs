//! The command line: one file per command, and the files that they share.

mod bench;
mod chart_axis;
mod chart_colors;
mod chart_points;
mod compare;
mod completions;
mod config_file;
mod config_record;
#[cfg(test)]
mod configuration_page;
mod eval;
mod evaluation_text;
#[cfg(test)]
mod exchange_page;
mod export;
mod failure;
mod find_rate;
#[cfg(test)]
mod generated_file;
mod given_settings;
mod help;
mod html_page;
mod import;
mod inspect;
mod job;
mod launcher;
mod man;
mod number_args;
mod number_format;
mod other_names;
mod output;
mod parts_table;
mod phase_table;
mod presets;
mod progress;
mod quantize;
mod relevant_settings;
mod report;
mod run_curves;
mod run_folder;
mod run_option_values;
mod run_options;
mod run_view;
mod sample;
mod scan_progress;
mod settings_flags;
mod settings_table;
mod signals;
mod starting_point;
mod svg_chart;
mod terminal_chart;
mod text;
mod text_writer;
#[cfg(test)]
mod threads_page;
mod train;
mod usage_error;
mod value_args;
mod visible;
mod watch;

use clap::{CommandFactory, Parser, Subcommand};
use failure::Failure;
use job::{Job, Started};
use launcher::Launched;
use std::{ffi::OsString, process::ExitCode, thread, time::Duration};

/// Time after which ranks other than 0 print why this program cannot take part in a job.
const PATIENCE: Duration = Duration::from_secs(4);

/// Trains and runs recurrent networks (RNN, LSTM, GRU) that write text, one character at a time
#[derive(Parser)]
#[command(
    name = "unrolled",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
struct Cli {
    /// Print only errors, warnings and results
    #[arg(short, long, global = true, display_order = 900)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(Box<train::TrainCommand>),
    Eval(eval::EvalCommand),
    Sample(sample::SampleCommand),
    Inspect(inspect::InspectCommand),
    Watch(watch::WatchCommand),
    Report(report::ReportCommand),
    Compare(compare::CompareCommand),
    Export(export::ExportCommand),
    Quantize(quantize::QuantizeCommand),
    Import(import::ImportCommand),
    FindRate(Box<find_rate::FindRateCommand>),
    Presets(presets::PresetsCommand),
    Bench(bench::BenchCommand),
    Completions(completions::CompletionsCommand),
    Man(man::ManCommand),
    Help(help::HelpCommand),
}

/// Runs the command that the arguments name and returns its exit code.
pub fn main() -> ExitCode {
    let (parsed, launched) = (parse(std::env::args_os()), Launched::find());
    match (&parsed, &launched) {
        (Err(error), None) => return usage_error::print(error, Cli::command(), std::env::args_os()),
        (Err(error), Some(launched)) if usage_error::shows_help(error) && !cfg!(feature = "mpi") => {
            return if launched.rank == 0 { usage_error::show_help(error) } else { ExitCode::SUCCESS };
        }
        _ => {}
    }
    match Started::new(launched.as_ref()) {
        Ok(started) => run_in(&started.job, parsed),
        Err(failure) => {
            // Rank 0 prints first: its exit ends the job. Without a rank 0 of this program the
            // others print too.
            if launched.is_some_and(|found| found.rank > 0) {
                thread::sleep(PATIENCE);
            }
            report(&Err(failure))
        }
    }
}

/// Runs the command as one process of a job. All processes return the exit code of rank 0.
fn run_in(job: &Job, parsed: Result<Cli, clap::Error>) -> ExitCode {
    let asked = match parsed {
        Err(error) if !usage_error::shows_help(&error) => {
            Err(Failure::Usage(usage_error::problem(&error, Cli::command(), std::env::args_os())))
        }
        parsed => Ok(parsed),
    };
    let help_code = asked.as_ref().ok().and_then(|parsed| parsed.as_ref().err()).map_or(0, usage_error::code);
    let result = job.agree(asked).and_then(|parsed| {
        check_job(job, parsed.as_ref().ok())?;
        match parsed {
            Ok(cli) => cli.run(job),
            Err(help) => {
                if job.leads() {
                    usage_error::show_help(&help);
                }
                Ok(())
            }
        }
    });
    let printed = report(&result);
    let code = result.map_or_else(|failure| failure.exit_code(), |()| help_code);
    if job.count() > 1 { ExitCode::from(job.end(code)) } else { printed }
}

/// Checks that all processes of a job train, with the same version of this program. `None` asks for
/// help.
fn check_job(job: &Job, cli: Option<&Cli>) -> Result<(), Failure> {
    job.check_same("unrolled", env!("CARGO_PKG_VERSION"))?;
    let own = match cli.map(|cli| &cli.command) {
        None => Ok("`--help`"),
        Some(Command::Train(command)) => Ok(command.form()),
        _ if job.count() == 1 => Ok(""),
        _ => Err(Failure::Usage(format!(
            "`unrolled {}` runs in one process, and this is a job of {} processes; start one process (only `unrolled train` \
             divides its work)",
            command_name(),
            job.count()
        ))),
    };
    job.check_same("the command", job.agree(own)?)
}

impl Cli {
    fn run(self, job: &Job) -> Result<(), Failure> {
        if self.quiet {
            output::be_quiet();
        }
        unrolled::corpus::install_truncation_guard()?;
        match self.command {
            Command::Train(command) => command.run(job),
            Command::Eval(command) => command.run(),
            Command::Sample(command) => command.run(),
            Command::Inspect(command) => command.run(),
            Command::Watch(command) => command.run(),
            Command::Report(command) => command.run(),
            Command::Compare(command) => command.run(),
            Command::Export(command) => command.run(),
            Command::Quantize(command) => command.run(),
            Command::Import(command) => command.run(),
            Command::FindRate(command) => command.run(),
            Command::Presets(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Completions(command) => command.run(Cli::command()),
            Command::Man(command) => command.run(Cli::command()),
            Command::Help(command) => command.run(Cli::command()),
        }
    }
}

/// Returns the name of the command as it was given.
fn command_name() -> String {
    // The only flag before a command is --quiet, which takes no value.
    let mut words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    words.find(|word| !word.starts_with('-')).unwrap_or_default()
}

fn parse<T: Into<OsString>>(arguments: impl IntoIterator<Item = T>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(join_negative_numbers(arguments.into_iter().map(Into::into)))
}

/// Joins a negative number to the flag before it: `--seed -1` becomes `--seed=-1`. Otherwise the
/// parser would read -1 as a flag, and not as a value that `--seed` can reject.
fn join_negative_numbers(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
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

/// Returns whether an argument is `--name` or `-n` without a value. `--` alone, which ends all
/// flags, is none.
fn is_flag(argument: &OsString) -> bool {
    let long = |text: &str| text.len() > 2 && text.starts_with("--") && !text.contains('=');
    let short = |text: &str| matches!(text.as_bytes(), [b'-', letter] if letter.is_ascii_alphabetic());
    argument.to_str().is_some_and(|text| long(text) || short(text))
}

fn report(result: &Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else { return ExitCode::SUCCESS };
    if let Some(message) = failure.message() {
        output::message(&format!("error: {message}"));
    }
    ExitCode::from(failure.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn short_flags_take_values() {
        let parsed = |arguments: &str| parse(arguments.split(' ')).is_ok();
        assert!(parsed("unrolled train text -o runs/a -c file -s 3 -j 2 -e 1 -b 8 -H 16 -q"));
        assert!(parsed("unrolled sample -n 100 -p to -t 0.8 -s 3"));
        assert!(parsed("unrolled train --lr 0.1") && parsed("unrolled eval -q -j 1"));
    }
}
