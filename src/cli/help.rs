//! `unrolled help`: prints the help of a command.

use super::{failure::Failure, output};
use clap::{Args, Command};

/// Print the help of a command
#[derive(Args)]
pub struct HelpCommand {
    /// Command to explain [default: all commands]
    command: Option<String>,
}

impl HelpCommand {
    /// Prints the same as `--help`.
    pub fn run(&self, mut program: Command) -> Result<(), Failure> {
        command_named(program.clone(), self.command.as_deref())?;
        let arguments = ["unrolled"].into_iter().chain(self.command.as_deref()).chain(["--help"]);
        let help = program.try_get_matches_from_mut(arguments).err().map(|help| help.render().to_string());
        output::write(&help.unwrap_or_default())
    }
}

/// Returns the parser of a command, or of the whole program.
pub fn command_named(mut program: Command, name: Option<&str>) -> Result<Command, Failure> {
    program.build();
    let Some(name) = name else { return Ok(program) };
    program.find_subcommand(name).cloned().ok_or_else(|| {
        let names: Vec<_> = program.get_subcommands().map(Command::get_name).collect();
        Failure::Usage(format!("found command {name:?}, expected one of {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn every_command_has_help() {
        for command in Cli::command().get_subcommands() {
            let found = command_named(Cli::command(), Some(command.get_name())).expect("a command");
            assert!(found.get_about().is_some(), "{}", command.get_name());
            for argument in found.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
        let unknown = command_named(Cli::command(), Some("frobnicate"));
        let message = unknown.expect_err("no command").to_string();
        assert!(message.contains("found command \"frobnicate\", expected one of train, eval,"), "{message}");
    }
}
