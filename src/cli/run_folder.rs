//! The files of a run: who may create them, and how each is replaced whole.

use super::{config, failure::Failure, plot};
use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};
use unrolled::{Error, Settings, checkpoint::Checkpoint, train::Record};

/// Where numbered runs go.
const RUNS: &str = "runs";
const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.jsonl";
const LAST: &str = "checkpoint.safetensors";
const BEST: &str = "best.safetensors";
const PLOT: &str = "loss.svg";

/// The names of the files of a run.
pub const FILES: [&str; 5] = [CONFIG, METRICS, LAST, BEST, PLOT];

/// A folder with the files of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// A folder that is there already.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Creates `out`, or the next numbered folder, and claims it by creating its `config.toml`.
    pub fn create(out: Option<&Path>, config: &str) -> Result<Self, Failure> {
        let folder = match out {
            Some(path) => Self::create_named(path)?,
            None => Self::create_numbered(Path::new(RUNS))?,
        };
        folder.claim(config)?;
        Ok(folder)
    }

    fn create_named(path: &Path) -> Result<Self, Failure> {
        if path.is_file() {
            let problem = "a file, where --out needs a folder: choose another --out".to_owned();
            return Err(Failure::NoRun { path: path.to_owned(), problem });
        }
        fs::create_dir_all(path).map_err(failed("create", path))?;
        Ok(Self::at(path))
    }

    fn create_numbered(runs: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(runs).map_err(failed("create", runs))?;
        let mut number = highest_number(runs)? + 1;
        loop {
            let path = runs.join(number.to_string());
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(failed("create", &path)(error).into()),
            }
        }
    }

    /// Of two runs that start in one folder at once, only one creates the file.
    fn claim(&self, config: &str) -> Result<(), Failure> {
        self.check_free()?;
        let path = self.file(CONFIG);
        let created = OpenOptions::new().write(true).create_new(true).open(&path);
        let mut file = match created {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(self.occupied(CONFIG)),
            other => other.map_err(failed("create", &path))?,
        };
        file.write_all(config.as_bytes()).map_err(failed("write", &path))?;
        Ok(())
    }

    /// An error when the folder holds a run.
    pub fn check_free(&self) -> Result<(), Failure> {
        match FILES.into_iter().find(|name| self.file(name).symlink_metadata().is_ok()) {
            Some(found) => Err(self.occupied(found)),
            None => Ok(()),
        }
    }

    fn occupied(&self, found: &'static str) -> Failure {
        let remedy = match self.last().exists() {
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
        newest.map(|(_, path)| Self { path }).ok_or_else(|| Failure::NoRun {
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

    /// Replaces `config.toml`.
    pub fn write_config(&self, settings: &Settings, paths: &[PathBuf]) -> Result<(), Failure> {
        replace(&self.config(), config::record(settings, paths)?.as_bytes())
    }

    /// Cuts `metrics.jsonl` back to what a checkpoint has seen.
    pub fn write_metrics(&self, history: &[Record]) -> Result<(), Failure> {
        let lines: String = history.iter().map(|record| as_line(record) + "\n").collect();
        replace(&self.file(METRICS), lines.as_bytes())
    }

    /// Appends one evaluation to `metrics.jsonl`.
    pub fn append_metrics(&self, record: &Record) -> Result<(), Failure> {
        let path = self.file(METRICS);
        let opened = OpenOptions::new().append(true).create(true).open(&path);
        let mut file = opened.map_err(failed("write", &path))?;
        // One write, so that a reader never sees half a line.
        file.write_all((as_line(record) + "\n").as_bytes()).map_err(failed("write", &path))?;
        Ok(())
    }

    /// Replaces `checkpoint.safetensors`, and `best.safetensors` before it when `is_best`: a crash between the two is
    /// mended by resuming, which comes to the same best again.
    pub fn write_checkpoint(&self, checkpoint: &Checkpoint, is_best: bool) -> Result<(), Failure> {
        if is_best {
            checkpoint.save(&self.best())?;
        }
        checkpoint.save(&self.last())?;
        Ok(())
    }

    /// Redraws `loss.svg`.
    pub fn write_plot(&self, unit: &str, history: &[Record]) -> Result<(), Failure> {
        let name = self.path.display().to_string();
        match plot::draw(&plot::Curves { name: &name, unit, history }) {
            Some(svg) => replace(&self.file(PLOT), svg.as_bytes()),
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
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let prefix = path.file_name().unwrap_or(OsStr::new("file"));
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666)); // less the umask, like any other file
    }
    let written = builder.tempfile_in(folder).and_then(|mut file| {
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)
    });
    written.map(|_: File| ()).map_err(|source| failed("write", path)(source).into())
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

/// A checkpoint to use, and the run it belongs to.
#[derive(Debug)]
pub struct Trained {
    /// The run's folder.
    pub folder: RunFolder,
    /// The checkpoint.
    pub file: PathBuf,
}

/// Which checkpoint of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// The one with the lowest validation loss.
    Best,
    /// The latest.
    Last,
}

impl Trained {
    /// Finds the checkpoint of `run`: a checkpoint file, a run folder, or without a name the newest under `runs/`.
    ///
    /// Without a wish it is the best, or the last of a run that has no best.
    pub fn find(run: Option<&Path>, which: Option<Which>) -> Result<Self, Failure> {
        let folder = match run {
            None => RunFolder::newest()?,
            Some(file) if file.is_file() => return Self::of_file(file, which),
            Some(path) => RunFolder::at(path),
        };
        let file = match which {
            Some(Which::Last) => folder.last(),
            Some(Which::Best) => folder.best(),
            None if folder.best().exists() => folder.best(),
            None => folder.last(),
        };
        match file.exists() {
            true => Ok(Self { folder, file }),
            false => Err(Self::missing(folder, &file)),
        }
    }

    fn of_file(file: &Path, which: Option<Which>) -> Result<Self, Failure> {
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

    fn record(step: u64) -> Record {
        Record {
            step,
            chars: step * 100,
            seconds: 1.5,
            train_loss: 2.0,
            val_loss: None,
            val_accuracy: None,
            learning_rate: 0.1,
            chars_per_second: 1e5,
        }
    }

    #[test]
    fn folders_are_numbered_after_the_highest() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let runs = home.path().join("runs");
        for expected in ["1", "2"] {
            let folder = RunFolder::create_numbered(&runs).expect("a folder");
            assert_eq!(folder.path(), runs.join(expected));
        }
        fs::create_dir(runs.join("10")).expect("a folder");
        fs::create_dir(runs.join("named")).expect("a folder");
        let folder = RunFolder::create_numbered(&runs).expect("a folder");
        assert_eq!(folder.path(), runs.join("11"));
    }

    #[test]
    fn a_folder_is_claimed_once() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let out = home.path().join("a/b");
        let folder = RunFolder::create(Some(&out), "hidden = 3\n").expect("a folder");
        assert_eq!(fs::read_to_string(folder.config()).expect("written"), "hidden = 3\n");
        let again = RunFolder::create(Some(&out), "").expect_err("occupied").to_string();
        assert!(again.contains("already holds a run (config.toml): it has no checkpoint"), "{again}");
        fs::write(folder.last(), "").expect("written");
        let again = RunFolder::create(Some(&out), "").expect_err("occupied").to_string();
        assert!(again.ends_with("continue it with --resume, or choose another --out"), "{again}");
    }

    #[test]
    fn metrics_are_appended_and_cut_back() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let folder = RunFolder::at(home.path());
        let all: Vec<_> = (1..=3).map(record).collect();
        for record in &all {
            folder.append_metrics(record).expect("written");
        }
        folder.write_metrics(&all[..2]).expect("written");
        let text = fs::read_to_string(folder.file(METRICS)).expect("readable");
        let read: Vec<Record> =
            text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
        assert_eq!(read, all[..2]);
        assert_eq!(fs::read_dir(home.path()).expect("a folder").count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let file = home.path().join("file");
        fs::write(&file, "x").expect("written");
        let message = RunFolder::create(Some(&file.join("run")), "").expect_err("below a file").to_string();
        assert!(message.starts_with("cannot create ") && message.contains("file/run: "), "{message}");
    }

    #[test]
    fn missing_runs_say_what_to_do() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let told = |run: &Path, which| Trained::find(Some(run), which).expect_err("missing").to_string();
        assert!(told(&home.path().join("x"), None).contains("no such run folder or checkpoint"));
        assert!(told(home.path(), None).contains("no checkpoint.safetensors here"));
        assert!(told(home.path(), Some(Which::Best)).contains("use --checkpoint last"));
        fs::write(home.path().join("model"), "").expect("written");
        assert!(told(&home.path().join("model"), Some(Which::Last)).contains("is a file"));
    }
}
