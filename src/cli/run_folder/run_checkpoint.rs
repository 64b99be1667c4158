//! Finding the checkpoint that a command is to use.

use super::{BEST, RunFolder};
use crate::cli::failure::Failure;
use std::path::{Path, PathBuf};
use unrolled::checkpoint::Checkpoint;

/// A checkpoint to use, and the run it belongs to.
#[derive(Debug)]
pub struct RunCheckpoint {
    /// The run's folder.
    pub folder: RunFolder,
    /// The checkpoint.
    pub file: PathBuf,
}

/// CheckpointChoice checkpoint of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CheckpointChoice {
    /// The one with the lowest validation loss.
    Best,
    /// The latest.
    Last,
}

impl RunCheckpoint {
    /// Finds the checkpoint of `run`: a checkpoint file, a run folder, or without a name the newest under `runs/`.
    ///
    /// Without a wish it is the best, or the last of a run that has no best.
    pub fn find(run: Option<&Path>, which: Option<CheckpointChoice>) -> Result<Self, Failure> {
        let folder = match run {
            None => RunFolder::newest()?,
            Some(file) if file.is_file() => return Self::of_file(file, which),
            Some(path) => RunFolder::at(path),
        };
        let file = match which {
            Some(CheckpointChoice::Last) => folder.last(),
            Some(CheckpointChoice::Best) => folder.best(),
            None if folder.best().exists() => folder.best(),
            None => folder.last(),
        };
        match file.exists() {
            true => Ok(Self { folder, file }),
            false => Err(Self::missing(folder, &file)),
        }
    }

    fn of_file(file: &Path, which: Option<CheckpointChoice>) -> Result<Self, Failure> {
        if which.is_some() {
            let named = file.display();
            return Err(Failure::Usage(format!(
                "--checkpoint chooses within a run folder, but {named} is a file: leave one of them out"
            )));
        }
        let parent = file.parent().unwrap_or(Path::new(""));
        Ok(Self { folder: RunFolder::at(parent), file: file.to_owned() })
    }

    fn missing(folder: RunFolder, file: &Path) -> Failure {
        let name = file.file_name().unwrap_or_default().display().to_string();
        let problem = match (folder.path.is_dir(), name == BEST) {
            (false, _) => "no such run folder or checkpoint; `train` makes one".to_owned(),
            (true, true) => format!("no {name} here: the run has no evaluation yet; use --checkpoint last"),
            (true, false) => format!("no {name} here, so this is not a run folder; `train` makes one"),
        };
        Failure::NoRun { path: folder.path, problem }
    }

    /// Reads the checkpoint.
    pub fn load(&self) -> Result<Checkpoint, Failure> {
        Ok(Checkpoint::load(&self.file)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn missing_runs_say_what_to_do() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let told =
            |run: &Path, which| RunCheckpoint::find(Some(run), which).expect_err("missing").to_string();
        assert!(told(&home.path().join("x"), None).contains("no such run folder or checkpoint"));
        assert!(told(home.path(), None).contains("no checkpoint.safetensors here"));
        assert!(told(home.path(), Some(CheckpointChoice::Best)).contains("use --checkpoint last"));
        fs::write(home.path().join("model"), "").expect("written");
        assert!(told(&home.path().join("model"), Some(CheckpointChoice::Last)).contains("is a file"));
    }
}
