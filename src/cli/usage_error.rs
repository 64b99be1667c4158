//! Errors of the argument parser as one line.

use super::{
    other_names::{flag_here, similarity},
    output::message,
};
use clap::{
    Arg, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::{ffi::OsString, process::ExitCode};

/// Returns whether the parser wants to print help or the version.
pub fn shows_help(error: &clap::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// Prints help or the version, as the parser does.
pub fn show_help(error: &clap::Error) -> ExitCode {
    // Nobody reads a closed standard output.
    let _ = error.print();
    exit_code(error)
}

/// Prints help and the version to standard output, and any other error as one line to standard
/// error. `arguments` are those that the parser of `program` has refused.
pub fn print(error: &clap::Error, program: Command, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    if shows_help(error) {
        return show_help(error);
    }
    message(&format!("error: {}", problem(error, program, arguments)));
    exit_code(error)
}

fn exit_code(error: &clap::Error) -> ExitCode {
    ExitCode::from(code(error))
}

/// Returns the exit code for an error, or for help or the version.
pub fn code(error: &clap::Error) -> u8 {
    u8::try_from(error.exit_code()).unwrap_or(2)
}

/// Returns the line for an error, without the word "error".
pub fn problem(error: &clap::Error, program: Command, arguments: impl Iterator<Item = OsString>) -> String {
    let arguments: Vec<_> = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    let line = one_line(error, program, &arguments);
    line.strip_prefix("error: ").map_or(line.clone(), str::to_owned)
}

/// Returns the message and the tips of the parser's paragraphs, without the usage, which `--help`
/// shows.
fn one_line(error: &clap::Error, mut program: Command, arguments: &[String]) -> String {
    program.build();
    let rendered = error.render().to_string();
    let unknown = UnknownFlag::of(error, &program, arguments);
    let lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty());
    let kept: Vec<_> = lines
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter_map(|line| match (&unknown, line.strip_prefix("tip: ")) {
            (Some(unknown), Some(tip)) => Some(format!("tip: {}", unknown.tip(tip)?)),
            _ => Some(line.to_owned()),
        })
        .collect();
    let line = kept.join(" ").replace(" tip:", "; tip:");
    match unknown.and_then(|unknown| unknown.flag_here()) {
        Some(flag) => format!("{line}; use --{flag}; see --help"),
        None => format!("{line}; see --help"),
    }
}

/// A flag that a command does not have.
struct UnknownFlag<'a> {
    /// The flag as it was given.
    flag: &'a str,
    /// The known flag that is most similar.
    similar: Option<&'a str>,
    /// The argument before it.
    before: Option<&'a str>,
    command: &'a Command,
}

impl<'a> UnknownFlag<'a> {
    fn of(error: &'a clap::Error, program: &'a Command, arguments: &'a [String]) -> Option<Self> {
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.as_str()),
            _ => None,
        };
        let flag = text(ContextKind::InvalidArg).filter(|_| error.kind() == ErrorKind::UnknownArgument)?;
        let at = arguments.iter().position(|argument| argument.split('=').next() == Some(flag));
        // The only flag before a command is --quiet, which takes no value.
        let named = arguments.iter().skip(1).find(|argument| !argument.starts_with('-'));
        Some(Self {
            flag,
            similar: text(ContextKind::SuggestedArg),
            before: at.and_then(|at| arguments.get(at.checked_sub(1)?)).map(String::as_str),
            command: named.and_then(|name| program.find_subcommand(name)).unwrap_or(program),
        })
    }

    /// Returns the name in the spelling of this program.
    fn name(&self) -> String {
        self.flag.trim_start_matches('-').replace('_', "-")
    }

    /// Returns the flag of the command that does the same in this program.
    fn flag_here(&self) -> Option<&'static str> {
        flag_here(&self.name())
            .filter(|name| self.command.get_arguments().any(|known| known.get_long() == Some(name)))
    }

    /// Returns a tip of the parser if it helps.
    fn tip(&self, tip: &str) -> Option<String> {
        if self.flag_here().is_some() {
            return None;
        }
        if tip.contains("similar argument") {
            let similar = self.similar?.trim_start_matches('-');
            return similarity(&self.name(), similar).map(|_| tip.to_owned());
        }
        match tip.starts_with("to pass ") {
            // The parser's tip, `-- VALUE`, only works for paths.
            true => self
                .is_after_a_flag()
                .then(|| format!("to pass '{0}' as the value of a flag, write --flag={0}", self.flag)),
            false => Some(tip.to_owned()),
        }
    }

    /// Returns whether the argument before is a flag that needs a value.
    fn is_after_a_flag(&self) -> bool {
        let Some(before) = self.before else { return false };
        let takes_value = |flag: &Arg| flag.get_action().takes_values() && !flag.is_require_equals_set();
        let is_named = |flag: &Arg| match before.strip_prefix("--") {
            Some(name) => flag.get_long_and_visible_aliases().is_some_and(|names| names.contains(&name)),
            None => {
                flag.get_short().is_some_and(|short| before.strip_prefix('-') == Some(&*short.to_string()))
            }
        };
        self.command.get_arguments().any(|flag| is_named(flag) && takes_value(flag))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::parse, *};
    use crate::cli::Cli;
    use clap::CommandFactory;

    fn line(arguments: &str) -> String {
        let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        let error = parse(&arguments).err().expect("wrong usage");
        assert_eq!(error.exit_code(), 2);
        let line = one_line(&error, Cli::command(), &arguments);
        assert!(!line.contains('\n') && line.ends_with("; see --help"), "{line}");
        line
    }

    #[test]
    fn wrong_usage_is_one_line_with_advice() {
        let unknown = line("unrolled train --hiden 3");
        assert!(unknown.starts_with("error: unexpected argument '--hiden' found"), "{unknown}");
        assert!(unknown.contains("'--hidden'"), "{unknown}");
        let cases = [
            ("unrolled train --cell lstn", "[possible values: rnn, lstm, gru]"),
            ("unrolled train --preset nope", "min-char-rnn"),
            ("unrolled train --threads 0", "'0' for '--threads"),
            ("unrolled train --seed -1", "'-1' for '--seed <N>': expected a whole number of 0 or above"),
            ("unrolled train -s -1", "'-1' for '--seed <N>': expected a whole number of 0 or above"),
            ("unrolled sample --prompt -x", "tip: to pass '-x' as the value of a flag, write --flag=-x;"),
            ("unrolled train --resume", "--out"),
            ("unrolled train --seq-length 9", "; use --steps;"),
            ("unrolled train --batch_size 9", "; use --batch;"),
        ];
        for (arguments, part) in cases {
            let line = line(arguments);
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn a_flag_gets_at_most_one_tip() {
        let cases = [
            ("unrolled train --n_layer 2", "; use --layers"),
            ("unrolled train --seq-length 9", "; use --steps"),
            ("unrolled train --bptt 35", "; use --steps"),
            ("unrolled -q train text --silent", "; use --quiet"),
            ("unrolled train --json --frob 3", ""),
            ("unrolled train -l 0.1", ""),
            ("unrolled train -l0.1", ""),
            ("unrolled train --seed 3 --se 3", "; tip: a similar argument exists: '--seed'"),
            ("unrolled inspect --lr 0.1", ""),
            ("unrolled train --hiden 3", "; tip: a similar argument exists: '--hidden'"),
            ("unrolled train -s -x", "; tip: to pass '-x' as the value of a flag, write --flag=-x"),
        ];
        for (arguments, tip) in cases {
            let line = line(arguments);
            let (_, rest) = line.split_once(" found").expect("an unexpected argument");
            assert_eq!(rest, format!("{tip}; see --help"), "{arguments}");
        }
    }
}
