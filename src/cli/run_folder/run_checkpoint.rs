//! Finding the checkpoint that a command uses.

use super::{BEST, RunFolder, atomic_file::check_absent, checkpoints::is_of_a_run};
use crate::cli::failure::Failure;
use std::path::{Path, PathBuf};
use unrolled::checkpoint::Checkpoint;

/// A checkpoint file and its folder.
#[derive(Debug)]
pub struct RunCheckpoint {
    /// The folder of the file: a run folder, or any folder with an exported or copied checkpoint.
    pub folder: RunFolder,
    /// The checkpoint file.
    pub file: PathBuf,
}

/// A checkpoint of a run folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CheckpointChoice {
    /// The checkpoint with the lowest validation loss.
    Best,
    /// The latest checkpoint.
    Last,
}

impl RunCheckpoint {
    /// Finds the checkpoint of `run`: a checkpoint file or a run folder; with `None`, the newest
    /// run under `runs/`. Without a choice it is the best checkpoint, or the last of a run without
    /// one.
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
                "--checkpoint needs a run folder, and {named} is a file; leave --checkpoint out"
            )));
        }
        let parent = file.parent().unwrap_or(Path::new(""));
        Ok(Self { folder: RunFolder::at(parent), file: file.to_owned() })
    }

    fn missing(folder: RunFolder, file: &Path) -> Failure {
        let name = file.file_name().unwrap_or_default().display().to_string();
        let problem = match (folder.path.is_dir(), name == BEST) {
            (false, _) => "no such run folder or checkpoint; `unrolled train` creates one".to_owned(),
            (true, true) => {
                format!("found no {name}, because the run has no evaluation yet; use --checkpoint last")
            }
            (true, false) => {
                format!("found no {name}, so this is not a run folder; `unrolled train` creates one")
            }
        };
        Failure::NoRun { path: folder.path, problem }
    }

    /// Returns the folder of the run that wrote the checkpoint. An exported or copied file belongs
    /// to no run, even in the folder of one.
    pub fn run_folder(&self) -> Option<&RunFolder> {
        self.file.file_name().is_some_and(is_of_a_run).then_some(&self.folder)
    }

    /// Returns an error if the file of `--out` exists and is not to be replaced, or if it is one of
    /// the run's own checkpoints.
    pub fn check_out(&self, out: &Path, replace: bool) -> Result<(), Failure> {
        let same =
            |file: &Path| file.canonicalize().ok().is_some_and(|file| out.canonicalize().ok() == Some(file));
        let parent = RunFolder::at(out.parent().unwrap_or(Path::new("")));
        if same(&self.file) || same(&parent.last()) || same(&parent.best()) {
            let out = out.display();
            return Err(Failure::Usage(format!("--out {out} is a checkpoint of a run; name another file")));
        }
        check_absent(out, replace)
    }

    /// Loads the checkpoint.
    pub fn load(&self) -> Result<Checkpoint, Failure> {
        Ok(Checkpoint::load(&self.file)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_the_checkpoints_that_a_run_wrote_belong_to_it() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let belongs = |name: &str| {
            let file = home.path().join(name);
            fs::write(&file, "").expect("written");
            RunCheckpoint::find(Some(&file), None).expect("a file").run_folder().is_some()
        };
        for name in ["best.safetensors", "checkpoint.safetensors", "checkpoint-12.safetensors"] {
            assert!(belongs(name), "{name}");
        }
        for name in ["weights.safetensors", "checkpoint-12.bak", "checkpoint-new.safetensors", "model"] {
            assert!(!belongs(name), "{name}");
        }
    }

    #[test]
    fn the_error_for_a_missing_run_says_what_to_do() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let message =
            |run: &Path, which| RunCheckpoint::find(Some(run), which).expect_err("missing").to_string();
        assert!(message(&home.path().join("x"), None).contains("no such run folder or checkpoint"));
        assert!(message(home.path(), None).contains("found no checkpoint.safetensors"));
        assert!(message(home.path(), Some(CheckpointChoice::Best)).contains("use --checkpoint last"));
        fs::write(home.path().join("model"), "").expect("written");
        assert!(message(&home.path().join("model"), Some(CheckpointChoice::Last)).contains("is a file"));
    }
}
