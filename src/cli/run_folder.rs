//! The files of a run: who may write them, and how each is replaced whole.

mod checkpoints;
mod lines_reader;
mod lines_writer;
mod lock;
mod manifest;
mod records;
mod run_checkpoint;

use super::{failure::Failure, plot, run_curves::RunCurves};
pub use lines_reader::LinesReader;
pub use lines_writer::{AppendedFile, LinesWriter};
use lock::Lock;
pub use manifest::CorpusManifest;
pub use records::{CurvePoint, RunState, RunStatus, SampleRecord, now};
pub use run_checkpoint::{CheckpointChoice, RunCheckpoint};
use serde::de::DeserializeOwned;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};
use unrolled::{Error, corpus::Corpus, train::Record};

/// Where numbered runs go.
const RUNS: &str = "runs";
const CONFIG: &str = "config.toml";
/// The evaluations.
pub const METRICS: &str = "metrics.jsonl";
/// The checkpoint to go on from.
pub const LAST: &str = "checkpoint.safetensors";
/// The checkpoint with the lowest validation loss.
pub const BEST: &str = "best.safetensors";
/// The learning curve.
pub const PLOT: &str = "loss.svg";
const MANIFEST: &str = "manifest.json";
/// The texts drawn so far.
pub const SAMPLES: &str = "samples.jsonl";
/// The training curve.
pub const STEPS: &str = "steps.jsonl";
const STATUS: &str = "status.json";
/// The names of the files of a run.
pub const FILES: [&str; 9] = [CONFIG, METRICS, LAST, BEST, PLOT, MANIFEST, SAMPLES, STEPS, STATUS];
/// How the name of a file begins that is being written.
const TEMPORARY: &str = ".unrolled-";

/// A folder with the files of one run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held by who writes.
    lock: Option<Lock>,
}

impl RunFolder {
    /// A folder that is there already, to read.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: None }
    }

    /// A folder that is there already, to write.
    pub fn hold(path: &Path) -> Result<Self, Failure> {
        let folder = Self { path: path.to_owned(), lock: Some(Lock::take(path)?) };
        folder.sweep();
        Ok(folder)
    }

    /// Creates `out`, or the next numbered folder, and claims it by writing its `config.toml`.
    pub fn create(out: Option<&Path>, config: &str) -> Result<Self, Failure> {
        let path = match out {
            Some(path) => Self::create_named(path)?,
            None => Self::create_numbered(Path::new(RUNS))?,
        };
        let folder = Self::hold(&path)?;
        // Of two runs that start in one folder at once, the second finds the first one's file.
        folder.check_free()?;
        folder.write_config(config)?;
        Ok(folder)
    }

    fn create_named(path: &Path) -> Result<PathBuf, Failure> {
        if path.is_file() {
            let problem = "a file, where --out needs a folder: choose another --out".to_owned();
            return Err(Failure::NoRun { path: path.to_owned(), problem });
        }
        fs::create_dir_all(path).map_err(failed("create", path))?;
        Ok(path.to_owned())
    }

    fn create_numbered(runs: &Path) -> Result<PathBuf, Failure> {
        fs::create_dir_all(runs).map_err(failed("create", runs))?;
        let mut number = highest_number(runs)? + 1;
        loop {
            let path = runs.join(number.to_string());
            match fs::create_dir(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(failed("create", &path)(error).into()),
            }
        }
    }

    /// Whether the folder is the one that this run holds: neither gone, nor another run's by now.
    pub fn is_held(&self) -> bool {
        self.lock.as_ref().is_some_and(|lock| lock.holds(&self.path) == Some(true))
    }

    /// Makes a folder anew that was deleted while its run went on. Says whether it was.
    ///
    /// # Errors
    /// Also when another run has taken its place meanwhile: that one's files are not to be written over.
    pub fn restore(&mut self) -> Result<bool, Failure> {
        match self.lock.as_ref().and_then(|lock| lock.holds(&self.path)) {
            Some(true) => return Ok(!self.config().exists()),
            Some(false) => {
                let taken =
                    io::Error::other("another run has taken the place of this one's folder; move that away");
                return Err(failed("write", &self.path)(taken).into());
            }
            None => {}
        }
        let deleted = !self.config().exists();
        fs::create_dir_all(&self.path).map_err(failed("create", &self.path))?;
        self.lock = Some(Lock::take(&self.path)?);
        Ok(deleted)
    }

    /// Removes what writes left behind that were cut off by a crash.
    fn sweep(&self) {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let left =
            entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes()));
        // One that cannot be removed takes some room, and nothing else.
        left.for_each(|entry| _ = fs::remove_file(entry.path()));
    }

    /// An error when the folder holds a run.
    pub fn check_free(&self) -> Result<(), Failure> {
        match FILES.into_iter().find(|name| self.file(name).symlink_metadata().is_ok()) {
            Some(found) => Err(self.occupied(found)),
            None => Ok(()),
        }
    }

    fn occupied(&self, found: &'static str) -> Failure {
        let remedy = match self.last().exists() || self.config().exists() {
            true => "continue it with --resume, or choose another --out",
            false => "it has no checkpoint to resume from, so remove its files or choose another --out",
        };
        Failure::Occupied { folder: self.path.clone(), found, remedy }
    }

    /// The run whose checkpoint was written last.
    pub fn newest() -> Result<Self, Failure> {
        let runs = Path::new(RUNS);
        let written = |path: PathBuf| -> Option<(SystemTime, PathBuf)> {
            Some((path.join(LAST).metadata().ok()?.modified().ok()?, path))
        };
        let entries = fs::read_dir(runs).into_iter().flatten().flatten();
        let newest = entries.filter_map(|entry| written(entry.path())).max();
        newest.map(|(_, path)| Self::at(&path)).ok_or_else(|| Failure::NoRun {
            path: runs.to_owned(),
            problem: "no run with a checkpoint here: train one first, or name a run folder or checkpoint"
                .into(),
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A path to the folder for whoever writes, which leads to no other folder that has taken its place.
    pub fn held(&self) -> &Path {
        self.lock.as_ref().map_or(&self.path, Lock::path)
    }

    /// Writes one of its files by `write`, which is given the path to it.
    pub fn write<E: Into<Failure>>(
        &self,
        name: &str,
        write: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), Failure> {
        self.named(write(&self.held().join(name)).map_err(Into::into))
    }

    /// With the folder's name in a message about one of its files.
    pub fn named(&self, written: Result<(), Failure>) -> Result<(), Failure> {
        written.map_err(|failure| match failure {
            Failure::Library(Error::Io { action, path, source }) => {
                let file = path.strip_prefix(self.held()).map(|file| self.path.join(file)).unwrap_or(path);
                Error::Io { action, path: file, source }.into()
            }
            other => other,
        })
    }

    /// The checkpoint to continue from.
    pub fn last(&self) -> PathBuf {
        self.file(LAST)
    }

    /// The checkpoint with the lowest validation loss.
    pub fn best(&self) -> PathBuf {
        self.file(BEST)
    }

    /// The recorded settings and text.
    pub fn config(&self) -> PathBuf {
        self.file(CONFIG)
    }

    /// The evaluations so far, a line each.
    pub fn metrics(&self) -> LinesWriter {
        LinesWriter::named(METRICS)
    }

    /// The texts drawn so far, a line each.
    pub fn samples(&self) -> LinesWriter {
        LinesWriter::named(SAMPLES)
    }

    /// The training curve so far, a line each point.
    pub fn steps(&self) -> LinesWriter {
        LinesWriter::named(STEPS)
    }

    /// The lines of one of its files that are whole and what they should be.
    pub fn read_lines<T: DeserializeOwned>(&self, name: &str) -> Vec<T> {
        let text = fs::read_to_string(self.file(name)).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What is known of the process that writes this run; `None` when there is none.
    pub fn writer(&self) -> Option<String> {
        Lock::holder(&self.path)
    }

    /// Replaces `status.json`, which may be lost when the machine goes down.
    pub fn write_status(&self, status: &RunStatus) -> Result<(), Failure> {
        let text = serde_json::to_string(status).expect("numbers and names");
        self.write(STATUS, |path| put(path, (text + "\n").as_bytes(), |_| Ok(())))
    }

    /// `status.json`; `None` where there is none that can be read.
    pub fn status(&self) -> Option<RunStatus> {
        serde_json::from_str(&fs::read_to_string(self.file(STATUS)).ok()?).ok()
    }

    /// The text of `config.toml`; `None` where there is none that can be read.
    pub fn read_config(&self) -> Option<String> {
        fs::read_to_string(self.config()).ok()
    }

    /// Replaces `config.toml`.
    pub fn write_config(&self, text: &str) -> Result<(), Failure> {
        self.write(CONFIG, |path| replace(path, text.as_bytes()))
    }

    /// Replaces `manifest.json`: the files of the text.
    pub fn write_manifest(&self, corpus: &Corpus) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(&CorpusManifest::of(corpus)).expect("texts and numbers");
        self.write(MANIFEST, |path| replace(path, (text + "\n").as_bytes()))
    }

    /// Takes the list of the files of the text from another run, where that has one.
    pub fn copy_manifest(&self, from: &Self) -> Result<(), Failure> {
        match fs::read(from.file(MANIFEST)) {
            Ok(text) => self.write(MANIFEST, |path| replace(path, &text)),
            Err(_) => Ok(()),
        }
    }

    /// In what the files of the text differ from those of the run, as its manifest has them.
    pub fn difference(&self, corpus: &Corpus) -> Option<String> {
        self.manifest()?.difference(corpus)
    }

    /// `manifest.json`; `None` where there is none that can be read.
    pub fn manifest(&self) -> Option<CorpusManifest> {
        serde_json::from_str(&fs::read_to_string(self.file(MANIFEST)).ok()?).ok()
    }

    /// Redraws `loss.svg`.
    pub fn write_plot(&self, unit: &str, steps: &[CurvePoint], history: &[Record]) -> Result<(), Failure> {
        let name = self.path.display().to_string();
        match svg_chart::draw(&RunCurves { name: &name, unit, steps, history }.loss()) {
            Some(svg) => self.write(PLOT, |path| replace(path, svg.as_bytes())),
            None => Ok(()),
        }
    }
}

/// An evaluation as JSON; its numbers always have a form.
pub fn as_line(record: &Record) -> String {
    serde_json::to_string(record).expect("a record is numbers only")
}

fn highest_number(runs: &Path) -> Result<u64, Failure> {
    let entries = fs::read_dir(runs).map_err(failed("read", runs))?;
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    Ok(numbers.max().unwrap_or(0).into())
}

/// Writes a temporary file beside `path` and renames it, so that no reader and no crash meets half a file.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    put(path, bytes, File::sync_all)
}

fn put(path: &Path, bytes: &[u8], sync: impl FnOnce(&File) -> io::Result<()>) -> Result<(), Failure> {
    let folder = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY).suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666)); // less the umask, like any other file
    }
    let written = builder.tempfile_in(folder).and_then(|mut file| {
        file.write_all(bytes)?;
        sync(file.as_file())?;
        file.persist(path).map_err(|error| error.error)
    });
    written.map(|_: File| ()).map_err(|source| failed("write", path)(plain(source)).into())
}

/// What the system says, without the name of the temporary file, which nobody knows.
fn plain(error: io::Error) -> io::Error {
    match error.to_string().split_once(" at path ") {
        Some((said, _)) => io::Error::new(error.kind(), said.to_owned()),
        None => error,
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
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
    fn what_a_crash_left_behind_is_removed() {
        let home = tempfile::tempdir().expect("a temporary folder");
        fs::write(home.path().join(".unrolled-x1.tmp"), "half").expect("written");
        fs::write(home.path().join("kept"), "whole").expect("written");
        RunFolder::hold(home.path()).expect("free");
        assert!(!home.path().join(".unrolled-x1.tmp").exists() && home.path().join("kept").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let file = home.path().join("file");
        fs::write(&file, "x").expect("written");
        let message = RunFolder::create(Some(&file.join("run")), "").expect_err("below a file").to_string();
        assert!(message.starts_with("cannot create ") && message.contains("file/run: "), "{message}");
    }
}
