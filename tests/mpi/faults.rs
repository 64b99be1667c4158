//! Ranks that are killed or get a signal, and full disks.

use super::*;
use std::{
    fs::File,
    process::{Child, Stdio},
    thread,
    time::Instant,
};

/// A run that would take hours.
const LONG: &str = "train text.txt --hidden 16 --batch 2 --steps 6 --epochs 1000000 --accumulate 4 --threads 1 \
    --eval-every 50 --sample-length 0 --log-every 10";
/// Time in which a job ends after a signal or the loss of a rank.
const SOON: Duration = Duration::from_secs(20);

/// A job in the background, and the file with its messages.
struct Job {
    child: Child,
    messages: PathBuf,
}

impl Drop for Job {
    /// Only a test that fails leaves a process.
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Job {
    /// Starts three ranks, and waits until they train.
    fn start(home: &Home, arguments: &str) -> Self {
        let mut command = mpirun();
        command.args(["-n", "3", PROGRAM]).args(arguments.split_whitespace());
        Self::spawn(home, command)
    }

    /// Starts a job, and waits until it trains.
    fn spawn(home: &Home, mut command: Command) -> Self {
        let messages = home.path("messages");
        // Marks the processes of this job.
        command.env("UNROLLED_JOB", home.path("")).stdout(Stdio::null());
        home.set_folder(&mut command);
        command.stderr(File::create(&messages).expect("a file"));
        let job = Self { child: command.spawn().expect("mpirun"), messages };
        job.wait_until(|| {
            fs::read_to_string(home.path("here/metrics.jsonl")).is_ok_and(|text| !text.is_empty())
        });
        job
    }

    fn wait_until(&self, mut there: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !there() {
            assert!(begun.elapsed() < SOON, "{}", self.messages());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn messages(&self) -> String {
        fs::read_to_string(&self.messages).unwrap_or_default()
    }

    /// Returns the process of a rank.
    fn rank(&self, home: &Home, rank: usize) -> u32 {
        let marks = [format!("UNROLLED_JOB={}", home.path("").display())];
        let ranks = ["OMPI_COMM_WORLD_RANK", "PMI_RANK"].map(|name| format!("{name}={rank}"));
        let processes = fs::read_dir("/proc").expect("processes").flatten();
        let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_rank = |process: &u32| {
            let variables = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
            let variables: Vec<_> = variables.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
            let has = |any: &[String]| any.iter().any(|one| variables.iter().any(|found| found == one));
            let program = fs::read_link(format!("/proc/{process}/exe")).unwrap_or_default();
            program == Path::new(PROGRAM) && has(&marks) && has(&ranks)
        };
        numbers.into_iter().find(is_rank).expect("the rank")
    }

    fn end(&mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => return (status.code(), self.messages()),
                None if begun.elapsed() > SOON => panic!("it does not end: {}", self.messages()),
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

fn signal(name: &str, process: u32) {
    let sent = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status();
    assert!(sent.expect("kill").success());
}

/// Asserts that the run in `here` can go on, with the bits of an undisturbed run.
fn assert_goes_on(home: &Home) {
    let stop = home.checkpoint("here", "checkpoint.safetensors").progress.step + 60;
    home.ranks(2, &format!("train --resume --out here --threads 1 --stop-after {stop}")).success();
    home.alone(&format!("{LONG} --out whole --stop-after {stop}")).success();
    home.assert_same("whole", "here", "a run that went on");
}

/// Sends a signal to a rank, and checks what rank 0 prints.
fn ends_by(name: &str, code: i32, rank: usize) {
    let home = Home::new();
    let mut job = Job::start(&home, &format!("{LONG} --out here"));
    signal(name, job.rank(&home, rank));
    let (found, messages) = job.end();
    assert_eq!(found, Some(code), "{messages}");
    assert_eq!(messages.matches(&format!("SIG{name}: checkpoint written at step ")).count(), 1, "{messages}");
    assert!(!messages.contains("error: "), "{messages}");
    assert_goes_on(&home);
}

#[test]
fn a_signal_to_a_rank_ends_the_run_with_a_checkpoint() {
    ends_by("TERM", 143, 1);
    ends_by("INT", 130, 2);
    ends_by("TERM", 143, 0);
}

#[test]
fn a_signal_to_mpirun_ends_the_run_with_a_checkpoint() {
    for name in ["TERM", "INT"] {
        let home = Home::new();
        let mut job = Job::start(&home, &format!("{LONG} --out here"));
        signal(name, job.child.id());
        let (code, messages) = job.end();
        assert!(code != Some(0), "{messages}");
        assert!(messages.contains(": checkpoint written at step "), "{messages}");
        assert_goes_on(&home);
    }
}

#[test]
fn a_killed_rank_ends_the_job() {
    for rank in [2, 0] {
        let home = Home::new();
        let mut job = Job::start(&home, &format!("{LONG} --out here --checkpoint-every 7"));
        signal("KILL", job.rank(&home, rank));
        let (code, messages) = job.end();
        assert!(code != Some(0), "{messages}");
        // MPICH names the process and its machine, on standard output.
        assert!(messages.contains(&format!("process rank {rank} ")) || !*IS_OPEN_MPI, "{messages}");
        assert_goes_on(&home);
    }
}

#[test]
fn a_text_that_changes_on_another_machine_ends_the_run() {
    let home = Home::new();
    fs::create_dir(home.path("elsewhere")).expect("a folder");
    home.write("elsewhere/text.txt", text());
    let mut command = mpirun();
    let script = format!("cd elsewhere && exec {PROGRAM} {LONG}");
    command.args(["-n", "1", PROGRAM]).args(LONG.split_whitespace()).args(["--out", "here"]);
    command.args([":", "-n", "2", "sh", "-c", &script]);
    let mut job = Job::spawn(&home, command);
    home.write("elsewhere/text.txt", text().replacen("Line 7", "Line 8", 1));
    let (code, messages) = job.end();
    assert_eq!(code, Some(1), "{messages}");
    let errors: Vec<_> = messages.lines().filter(|line| line.contains("error: ")).collect();
    assert_eq!(errors.len(), 1, "{messages}");
    let parts = ["error: rank ", "text.txt was ", " while it was being read", "; the run is saved at step "];
    parts.iter().for_each(|part| assert!(errors[0].contains(part), "{part:?} in {messages}"));
    home.write("elsewhere/text.txt", text());
    assert_goes_on(&home);
}

/// Runs two ranks that cannot write files longer than `blocks` of 512 bytes, as on a full disk.
fn limited(home: &Home, blocks: usize, arguments: &str) -> Ended {
    let mut command = mpirun();
    // Messages through shared memory need a file.
    command.env("OMPI_MCA_btl", "self,tcp");
    let script = format!("ulimit -f {blocks}; exec {PROGRAM} {arguments}");
    command.args(["-n", "2", "sh", "-c", &script]);
    home.end(command)
}

#[test]
fn a_full_disk_ends_the_run_as_on_one_machine() {
    if !*IS_OPEN_MPI {
        // MPICH itself cannot start under the limit.
        return;
    }
    let home = Home::new();
    let run = "train text.txt --hidden 16 --batch 2 --steps 6 --max-steps 8 --eval-every 4 --accumulate 4 --threads 1";
    home.alone(&format!("{run} --out whole")).success();
    limited(&home, 8, &format!("{run} --out here"))
        .refused(1, &["error: cannot write here/checkpoint.safetensors: File too large"]);
    home.ranks(3, "train --resume --out here --threads 1 --stop-after 3").success();
    limited(&home, 8, "train --resume --out here --threads 1")
        .refused(1, &["; step 3 is on disk, and the steps from there to 8 are lost"]);
    home.ranks(2, "train --resume --out here --threads 1").success();
    home.assert_same("whole", "here", "a run that went on");
}
