//! A run whose process is killed at any time resumes with the same bits.
//!
//! `UNROLLED_KILLS=100` kills that many processes; the default is a few.

use super::{resume::assert_same, *};
use std::{
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

const SETTINGS: &str = "--hidden 16 --batch 4 --steps 8 --epochs 1000000 --eval-every 90 --patience 1000 \
                        --threads 1 --checkpoint-every 37 --keep 3 --log-every 7 --tensorboard --learning-rate 0.003";
/// Number of steps for each kill, so that the kills spread over the whole run.
const STEPS_PER_KILL: usize = 120;

fn kills() -> usize {
    std::env::var("UNROLLED_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(8)
}

fn start(home: &Home, steps: usize) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unrolled"));
    command.current_dir(home.path("")).arg("train").args(["--out", "killed"]);
    match home.path("killed/config.toml").exists() {
        true => command.arg("--resume"),
        false => {
            command.arg("text.txt").args(SETTINGS.split_whitespace()).arg(format!("--max-steps={steps}"))
        }
    };
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the command starts")
}

#[test]
fn a_run_killed_at_random_times_has_the_same_bits() {
    let home = Home::new();
    let (kills, steps) = (kills(), kills() * STEPS_PER_KILL);
    home.run(&format!("train text.txt {SETTINGS} --max-steps={steps} --out whole")).success();
    // A fixed seed: the times differ between kills and are the same in each test.
    let mut random = 12_345_u64;
    let (mut killed, mut finished) = (0, 0);
    while killed < kills {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut child = start(&home, steps);
        thread::sleep(Duration::from_micros((random >> 33) % 150_000));
        match child.try_wait().expect("its status") {
            None => {
                child.kill().expect("a signal");
                child.wait().expect("its end");
                killed += 1;
            }
            Some(status) => {
                let message = child.wait_with_output().expect("its words").stderr;
                assert!(status.success(), "{}", String::from_utf8_lossy(&message));
                assert_same(&home, "whole", "killed");
                fs::remove_dir_all(home.path("killed")).expect("a folder");
                finished += 1;
            }
        }
    }
    println!("{killed} kills, {finished} runs finished between them");
    let output = start(&home, steps).wait_with_output().expect("its end");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_same(&home, "whole", "killed");
    let left = file_names(&home.path("killed"));
    assert!(left.iter().all(|name| !name.ends_with(".tmp")), "{left:?}");
}
