//! `unrolled help`: prints the help of a command.

use super::{Cli, failure::Failure, output};
use clap::{Args, CommandFactory, Parser};

/// Print the help of a command
#[derive(Args)]
pub struct HelpCommand {
    /// Command to explain [default: all commands]
    command: Option<String>,
}

impl HelpCommand {
    /// Prints what `--help` prints.
    pub fn run(&self) -> Result<(), Failure> {
        command_named(self.command.as_deref())?;
        let arguments = ["unrolled"].into_iter().chain(self.command.as_deref()).chain(["--help"]);
        let help = Cli::try_parse_from(arguments).err().map(|help| help.render().to_string());
        output::write(&help.unwrap_or_default())
    }
}

/// Returns the parser of a command, or of the whole program.
pub fn command_named(name: Option<&str>) -> Result<clap::Command, Failure> {
    let mut cli = Cli::command();
    cli.build();
    let Some(name) = name else { return Ok(cli) };
    cli.find_subcommand(name).cloned().ok_or_else(|| {
        let names: Vec<_> = cli.get_subcommands().map(clap::Command::get_name).collect();
        Failure::Usage(format!("found command {name:?}, expected one of {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_help() {
        for command in Cli::command().get_subcommands() {
            let found = command_named(Some(command.get_name())).expect("a command");
            assert!(found.get_about().is_some(), "{}", command.get_name());
            for argument in found.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
        let message = command_named(Some("frobnicate")).expect_err("no command").to_string();
        assert!(message.contains("found command \"frobnicate\", expected one of train, eval,"), "{message}");
    }
}
