//! `unrolled completions`: prints a completion script for a shell.

use super::{failure::Failure, output};
use clap::{Args, Command};
use clap_complete::{Shell, generate};

/// Print a completion script for a shell, such as `unrolled completions bash`
///
/// bash: unrolled completions bash > ~/.local/share/bash-completion/completions/unrolled
/// zsh: unrolled completions zsh > a file named _unrolled in a folder of $fpath
/// fish: unrolled completions fish > ~/.config/fish/completions/unrolled.fish
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct CompletionsCommand {
    /// Shell that runs the script
    #[arg(value_enum)]
    shell: Shell,
}

impl CompletionsCommand {
    /// Prints the script for the whole program.
    pub fn run(&self, mut program: Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut program, "unrolled", &mut script);
        output::write(&String::from_utf8_lossy(&script))
    }
}
