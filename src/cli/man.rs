//! `unrolled man`: prints manual pages.

use super::{failure::Failure, help::command_named, output, run_folder::replace};
use clap::{Args, Command};
use clap_mangen::Man;
use std::{fs, path::PathBuf};
use unrolled::Error;

/// Print the manual page of a command, to read with `man -l`, or write all pages to a folder
#[derive(Args)]
pub struct ManCommand {
    /// Command to describe [default: the whole program]
    command: Option<String>,
    /// Write the pages of all commands to this folder: unrolled.1, unrolled-train.1, ...
    #[arg(short, long, value_name = "DIR", conflicts_with = "command")]
    out: Option<PathBuf>,
}

impl ManCommand {
    /// Prints the page or writes all pages.
    pub fn run(&self, program: Command) -> Result<(), Failure> {
        let Some(folder) = &self.out else {
            return output::write(&page(program, self.command.as_deref())?);
        };
        let failed = |source| Error::Io { action: "create", path: folder.clone(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        replace(&folder.join("unrolled.1"), page(program.clone(), None)?.as_bytes())?;
        for command in program.get_subcommands() {
            let file = folder.join(format!("unrolled-{}.1", command.get_name()));
            replace(&file, page(program.clone(), Some(command.get_name()))?.as_bytes())?;
        }
        Ok(())
    }
}

/// Returns the page of a command, or of the whole program, in roff.
fn page(program: Command, name: Option<&str>) -> Result<String, Failure> {
    let source = format!("{} {}", program.get_name(), program.get_version().unwrap_or_default());
    let mut command = command_named(program, name)?;
    if let Some(name) = name {
        command = command.display_name(format!("unrolled-{name}"));
    }
    let mut page = Vec::new();
    Man::new(command).source(source).render(&mut page).map_err(Failure::Output)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn a_page_has_a_title_and_the_flags() {
        let page = |name| page(Cli::command(), name);
        let train = page(Some("train")).expect("a page");
        assert!(train.contains(".TH unrolled-train 1") && train.contains("\\-\\-learning\\-rate"), "{train}");
        let source = format!("\"unrolled {}\"", env!("CARGO_PKG_VERSION"));
        assert!(train.lines().any(|line| line.starts_with(".TH") && line.contains(&source)), "{train}");
        assert!(page(None).expect("a page").contains("unrolled\\-train(1)"));
        assert!(page(Some("frobnicate")).is_err());
    }
}
