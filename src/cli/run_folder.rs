//! A run folder: who may write it, and which files it holds.

mod atomic_file;
mod checkpoints;
mod contents;
mod lines_reader;
mod lines_writer;
mod lock;
mod manifest;
mod records;
mod run_checkpoint;

use super::failure::Failure;
use atomic_file::TEMPORARY;
use atomic_file::io_error;
pub use atomic_file::{check_absent, replace};
pub use contents::{FileSize, as_line, file_size};
pub use lines_reader::LinesReader;
pub use lines_writer::{AppendedFile, LinesWriter};
use lock::Lock;
pub use manifest::CorpusManifest;
pub use records::{CurvePoint, RunState, RunStatus, SampleRecord, now};
pub use run_checkpoint::{CheckpointChoice, RunCheckpoint};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Folder of the numbered runs.
const RUNS: &str = "runs";
const CONFIG: &str = "config.toml";
/// The evaluations.
pub const METRICS: &str = "metrics.jsonl";
/// The checkpoint to continue from.
pub const LAST: &str = "checkpoint.safetensors";
/// The checkpoint with the lowest validation loss.
pub const BEST: &str = "best.safetensors";
/// The loss curves.
pub const PLOT: &str = "loss.svg";
const MANIFEST: &str = "manifest.json";
/// The samples drawn during training.
pub const SAMPLES: &str = "samples.jsonl";
/// The training curve.
pub const STEPS: &str = "steps.jsonl";
const STATUS: &str = "status.json";
/// Names of the files that every run has.
pub const FILES: [&str; 9] = [CONFIG, METRICS, LAST, BEST, PLOT, MANIFEST, SAMPLES, STEPS, STATUS];

/// A folder with the files of one run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held by the process that writes the run.
    lock: Option<Lock>,
}

impl RunFolder {
    /// Opens an existing folder for reading.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: None }
    }

    /// Opens an existing folder for writing and locks it.
    pub fn hold(path: &Path) -> Result<Self, Failure> {
        let folder = Self { path: path.to_owned(), lock: Some(Lock::take(path)?) };
        folder.remove_temporary_files();
        Ok(folder)
    }

    /// Creates `out`, or the next numbered folder, and claims it by writing its `config.toml`.
    pub fn create(out: Option<&Path>, config: &str) -> Result<Self, Failure> {
        let path = match out {
            Some(path) => Self::create_named(path)?,
            None => Self::create_numbered(Path::new(RUNS))?,
        };
        let folder = Self::hold(&path)?;
        // If two runs start in one folder at once, the second finds the file of the first.
        folder.check_free()?;
        folder.write_config(config)?;
        Ok(folder)
    }

    fn create_named(path: &Path) -> Result<PathBuf, Failure> {
        if path.is_file() {
            let problem = "found a file, expected a folder: choose another --out".to_owned();
            return Err(Failure::NoRun { path: path.to_owned(), problem });
        }
        fs::create_dir_all(path).map_err(io_error("create", path))?;
        Ok(path.to_owned())
    }

    fn create_numbered(runs: &Path) -> Result<PathBuf, Failure> {
        fs::create_dir_all(runs).map_err(io_error("create", runs))?;
        let mut number = highest_number(runs)? + 1;
        loop {
            let path = runs.join(number.to_string());
            match fs::create_dir(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(io_error("create", &path)(error).into()),
            }
        }
    }

    /// Returns whether the folder of this name is still the one that this run has locked: it was
    /// neither deleted nor replaced by another run's.
    pub fn is_held(&self) -> bool {
        self.lock.as_ref().is_some_and(|lock| lock.holds(&self.path) == Some(true))
    }

    /// Creates the folder again if it was deleted during the run. Returns whether it was.
    ///
    /// # Errors
    /// Also when another run has created a folder of the same name: its files must stay.
    pub fn restore(&mut self) -> Result<bool, Failure> {
        match self.lock.as_ref().and_then(|lock| lock.holds(&self.path)) {
            Some(true) => return Ok(!self.config().exists()),
            Some(false) => {
                let taken = io::Error::other("another run uses a new folder of this name; move that folder");
                return Err(io_error("write", &self.path)(taken).into());
            }
            None => {}
        }
        let deleted = !self.config().exists();
        fs::create_dir_all(&self.path).map_err(io_error("create", &self.path))?;
        self.lock = Some(Lock::take(&self.path)?);
        Ok(deleted)
    }

    /// Removes the temporary files of writes that a crash interrupted.
    fn remove_temporary_files(&self) {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let temporary =
            entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes()));
        // A file that cannot be removed takes some space and does no other harm.
        temporary.for_each(|entry| _ = fs::remove_file(entry.path()));
    }

    /// Returns an error if the folder holds a run.
    pub fn check_free(&self) -> Result<(), Failure> {
        match FILES.into_iter().find(|name| self.file(name).symlink_metadata().is_ok()) {
            Some(found) => Err(self.occupied(found)),
            None => Ok(()),
        }
    }

    fn occupied(&self, found: &'static str) -> Failure {
        let remedy = match self.last().exists() || self.config().exists() {
            true => "continue it with --resume, or choose another --out",
            false => "it has no checkpoint to resume from; remove its files or choose another --out",
        };
        Failure::Occupied { folder: self.path.clone(), found, remedy }
    }

    /// Finds the run whose checkpoint was written last.
    pub fn newest() -> Result<Self, Failure> {
        let runs = Path::new(RUNS);
        let written = |path: PathBuf| -> Option<(SystemTime, PathBuf)> {
            Some((path.join(LAST).metadata().ok()?.modified().ok()?, path))
        };
        let entries = fs::read_dir(runs).into_iter().flatten().flatten();
        let newest = entries.filter_map(|entry| written(entry.path())).max();
        newest.map(|(_, path)| Self::at(&path)).ok_or_else(|| Failure::NoRun {
            path: runs.to_owned(),
            problem: "found no run with a checkpoint; train one first, or name a run folder or checkpoint"
                .into(),
        })
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of one of the files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns a path for writing, which leads to the locked folder even if that is renamed and
    /// another folder takes its name.
    pub fn held(&self) -> &Path {
        self.lock.as_ref().map_or(&self.path, Lock::path)
    }

    /// Returns the path of the checkpoint to continue from.
    pub fn last(&self) -> PathBuf {
        self.file(LAST)
    }

    /// Returns the path of the checkpoint with the lowest validation loss.
    pub fn best(&self) -> PathBuf {
        self.file(BEST)
    }

    /// Returns the path of `config.toml`, the recorded settings and corpus.
    pub fn config(&self) -> PathBuf {
        self.file(CONFIG)
    }

    /// Returns the process that writes this run, as "process 123"; `None` if there is none.
    pub fn writer(&self) -> Option<String> {
        Lock::holder(&self.path)
    }
}

fn highest_number(runs: &Path) -> Result<u64, Failure> {
    let entries = fs::read_dir(runs).map_err(io_error("read", runs))?;
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    Ok(numbers.max().unwrap_or(0).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_numbered_after_the_highest() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let runs = home.path().join("runs");
        for expected in ["1", "2"] {
            let folder = RunFolder::create_numbered(&runs).expect("a folder");
            assert_eq!(folder, runs.join(expected));
        }
        fs::create_dir(runs.join("10")).expect("a folder");
        fs::create_dir(runs.join("named")).expect("a folder");
        let folder = RunFolder::create_numbered(&runs).expect("a folder");
        assert_eq!(folder, runs.join("11"));
    }

    #[test]
    fn a_folder_is_claimed_once() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let out = home.path().join("a/b");
        let folder = RunFolder::create(Some(&out), "hidden = 3\n").expect("a folder");
        assert_eq!(fs::read_to_string(folder.config()).expect("written"), "hidden = 3\n");
        let again = RunFolder::create(Some(&out), "").expect_err("held").to_string();
        assert!(again.contains("is in use by process "), "{again}");
        drop(folder);
        let again = RunFolder::create(Some(&out), "").expect_err("occupied").to_string();
        assert!(again.contains("already holds a run (config.toml): continue it with --resume"), "{again}");
        fs::rename(out.join(CONFIG), out.join(PLOT)).expect("renamed");
        let again = RunFolder::create(Some(&out), "").expect_err("occupied").to_string();
        assert!(again.contains("(loss.svg): it has no checkpoint to resume from"), "{again}");
    }

    #[test]
    fn temporary_files_of_a_crash_are_removed() {
        let home = tempfile::tempdir().expect("a temporary folder");
        fs::write(home.path().join(".unrolled-x1.tmp"), "half").expect("written");
        fs::write(home.path().join("kept"), "whole").expect("written");
        RunFolder::hold(home.path()).expect("free");
        assert!(!home.path().join(".unrolled-x1.tmp").exists() && home.path().join("kept").exists());
    }

    #[test]
    fn an_error_names_the_folder_that_cannot_be_created() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let file = home.path().join("file");
        fs::write(&file, "x").expect("written");
        let message = RunFolder::create(Some(&file.join("run")), "").expect_err("below a file").to_string();
        assert!(message.starts_with("cannot create ") && message.contains("file/run: "), "{message}");
    }
}
