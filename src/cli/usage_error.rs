//! Errors of the argument parser as one line.

use super::{other_names::flag_here, output::message};
use clap::error::ErrorKind;
use std::process::ExitCode;

/// Prints help and the version to standard output, and any other error as one line to standard
/// error.
pub fn print(error: &clap::Error) -> ExitCode {
    let shows_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if shows_help {
        // Nobody reads a closed standard output.
        let _ = error.print();
    } else {
        message(&one_line(&error.render().to_string()));
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Returns the message and the tips of the parser's paragraphs, without the usage, which `--help`
/// shows.
pub fn one_line(rendered: &str) -> String {
    let lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty());
    let kept: Vec<_> = lines
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .collect();
    let line = with_plain_tip(&kept.join(" ").replace(" tip:", "; tip:"));
    let tip = other_name(&line).map_or(String::new(), |name| format!("; use {name}"));
    format!("{line}{tip}; see --help")
}

/// Returns the flag that does the same as the unknown flag of a message.
fn other_name(line: &str) -> Option<&'static str> {
    flag_here(&line.strip_prefix("error: unexpected argument '")?.split('\'').next()?.replace('_', "-"))
}

/// Replaces the parser's tip for a value that starts with a minus, which only works for paths.
fn with_plain_tip(line: &str) -> String {
    let tip = line.split_once(" as a value, use '-- ").and_then(|(before, after)| {
        let (value, rest) = after.split_once('\'')?;
        Some(format!("{before} as the value of a flag, write --flag={value}{rest}"))
    });
    tip.unwrap_or_else(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{super::parse, *};

    fn line(arguments: &str) -> String {
        let error = parse(arguments.split(' ')).err().expect("wrong usage");
        assert_eq!(error.exit_code(), 2);
        let line = one_line(&error.render().to_string());
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
}
