//! Training over MPI: `mpirun` starts the command as several ranks on this machine.
//!
//! `cargo test --features mpi --test mpi` needs an MPI library and its `mpirun`: on Debian and
//! Ubuntu the packages `libopenmpi-dev` and `openmpi-bin`.

mod bits;
#[cfg(target_os = "linux")]
mod faults;
mod messages;
mod refused;

use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
    time::Duration,
};
use tempfile::TempDir;
use unrolled::checkpoint::Checkpoint;

/// The command.
const PROGRAM: &str = env!("CARGO_BIN_EXE_unrolled");
/// Longest time of a job. The tests of this folder take seconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// True if `mpirun` is Open MPI's.
static IS_OPEN_MPI: LazyLock<bool> = LazyLock::new(|| {
    let version = Command::new("mpirun").arg("--version").output();
    let version = version.expect("mpirun: install an MPI library, such as the package openmpi-bin").stdout;
    String::from_utf8_lossy(&version).contains("Open MPI")
});

/// Returns `mpirun` with more ranks than cores, without the variables of a launcher around the
/// tests.
fn mpirun() -> Command {
    let mut command = Command::new("mpirun");
    let launched =
        |name: &str| ["OMPI_", "PMI", "MPI_", "SLURM_"].iter().any(|prefix| name.starts_with(prefix));
    env::vars().filter(|(name, _)| launched(name)).for_each(|(name, _)| _ = command.env_remove(name));
    if *IS_OPEN_MPI {
        // CI runs as root.
        command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        command.args(["--oversubscribe", "--bind-to", "none"]);
    }
    command
}

/// A temporary folder with a small corpus.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        home.write("text.txt", text());
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).expect("a file in a temporary folder");
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file that the command wrote")
    }

    /// Runs the command as one process.
    fn alone(&self, arguments: &str) -> Ended {
        let mut command = Command::new(PROGRAM);
        command.args(arguments.split_whitespace());
        self.end(command)
    }

    /// Runs the command as a job of `count` ranks.
    fn ranks(&self, count: usize, arguments: &str) -> Ended {
        let mut command = mpirun();
        command.args(["-n", &count.to_string(), PROGRAM]).args(arguments.split_whitespace());
        self.end(command)
    }

    /// Runs the command as a job with one rank for each of these arguments.
    fn different_ranks(&self, all: &[&str]) -> Ended {
        let mut command = mpirun();
        for (rank, arguments) in all.iter().enumerate() {
            command.args(if rank > 0 { &[":", "-n", "1", PROGRAM][..] } else { &["-n", "1", PROGRAM] });
            command.args(arguments.split_whitespace());
        }
        self.end(command)
    }

    /// Sets the folder of a command, also for the temporary files of `mpirun`: two jobs that start
    /// and end at once would remove each other's folders.
    fn set_folder(&self, command: &mut Command) {
        let folder = self.folder.path();
        command.current_dir(folder).env("TMPDIR", folder).env("OMPI_MCA_orte_tmpdir_base", folder);
    }

    fn end(&self, mut command: Command) -> Ended {
        self.set_folder(&mut command);
        let output = assert_cmd::Command::from_std(command).timeout(DEADLINE).output();
        Ended::of(output.expect("a program"))
    }

    fn checkpoint(&self, run: &str, file: &str) -> Checkpoint {
        Checkpoint::load(&self.path(run).join(file)).expect("a checkpoint")
    }

    /// Returns the lines of a file without times.
    fn timeless(&self, run: &str, file: &str) -> Vec<Value> {
        let text = self.read(&format!("{run}/{file}"));
        let mut lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        for line in &mut lines {
            let fields = line.as_object_mut().expect("an object");
            ["seconds", "chars_per_second", "time"].iter().for_each(|key| _ = fields.remove(*key));
        }
        lines
    }

    /// Asserts that two runs are equal except for times.
    fn assert_same(&self, one: &str, other: &str, what: &str) {
        for file in ["checkpoint.safetensors", "best.safetensors"] {
            let [a, b] = [one, other]
                .map(|run| self.path(run).join(file).exists().then(|| self.checkpoint(run, file)));
            let (Some(a), Some(b)) = (&a, &b) else {
                assert!(a.is_none() && b.is_none(), "{what}: {file}");
                continue;
            };
            assert_eq!(a.progress.step, b.progress.step, "{what}");
            assert_eq!(a.progress.best_val_loss, b.progress.best_val_loss, "{what}");
            assert_eq!(a.settings, b.settings, "{what}");
            assert!(a.parameters == b.parameters, "{what}: parameters of {file}");
            assert!(a.moments == b.moments, "{what}: moments of {file}");
            assert!(a.state == b.state, "{what}: state of {file}");
        }
        for file in ["metrics.jsonl", "steps.jsonl", "samples.jsonl"] {
            if self.path(one).join(file).exists() || self.path(other).join(file).exists() {
                assert_eq!(self.timeless(one, file), self.timeless(other, file), "{what}");
            }
        }
    }
}

/// Some lines of different lengths.
fn text() -> String {
    (0..150).map(|n| format!("Line {n}: a caf\u{e9} \u{2014} and {} more words.\n", n * n)).collect()
}

/// How a program ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    /// Asserts the exit code, and that the command printed one error, which has these parts.
    fn refused(self, code: i32, parts: &[&str]) {
        let errors: Vec<_> = self.stderr.lines().filter(|line| line.contains("error: ")).collect();
        assert_eq!(errors.len(), 1, "{}", self.stderr);
        parts.iter().for_each(|part| assert!(errors[0].contains(part), "{part:?} in {}", errors[0]));
        assert_eq!(self.code, Some(code), "{}", self.stderr);
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
