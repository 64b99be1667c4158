//! Full disks, deleted folders and folders of other runs: training goes on and writes its files
//! later.
#![cfg(unix)]

use super::{
    background_run::{LONG, end, start, wait_for, wait_until},
    resume::{assert_same, checkpoint, metrics},
    *,
};

/// Runs a command that cannot write files longer than `blocks` of 512 bytes, as on a full disk.
fn limited(home: &Home, blocks: usize, arguments: &str) -> Assert {
    let script = format!("ulimit -f {blocks}; exec \"$0\" {arguments}");
    let mut command = Command::new("sh");
    command.current_dir(home.path("")).args(["-c", &script, env!("CARGO_BIN_EXE_unrolled")]).assert()
}

#[test]
fn a_full_disk_keeps_the_last_checkpoint() {
    let home = Home::new();
    home.train("--out whole").success();
    home.train("--out here --stop-after 6").success();
    // The small files fit, the checkpoint does not.
    let message = stderr(&limited(&home, 8, "train --resume --out here --threads 1").code(1));
    let parts = [
        "warning: cannot write here/best.safetensors: File too large",
        "; make room, or choose another place; training goes on and writing is retried every 30 s; on disk is step 6",
        "retrying in 2 s",
        "; step 6 is on disk, and the steps from there to 20 are lost",
    ];
    parts.iter().for_each(|part| assert!(message.contains(part), "{part:?} in {message}"));
    assert_eq!(checkpoint(&home, "here").progress.step, 6);
    assert!(file_names(&home.path("here")).iter().all(|name| !name.ends_with(".tmp")));
    home.run("train --resume --out here --threads 1").success();
    assert_same(&home, "whole", "here");
    // A run that cannot start leaves no files that look like a started run.
    let message = stderr(&limited(&home, 8, &format!("train text.txt {TINY} --out new")).code(1));
    assert!(message.contains("error: cannot write new/checkpoint.safetensors: File too large"), "{message}");
    home.run("train --resume --out new").success();
    assert_same(&home, "whole", "new");
}

#[test]
fn a_deleted_folder_is_created_again() {
    let home = Home::new();
    let child = start(&home, &format!("{LONG} --out here"));
    wait_for(&home, 3);
    // At once: deleting the files one by one would take time.
    fs::rename(home.path("here"), home.path("gone")).expect("moved away");
    wait_for(&home, 4);
    let (code, message) = end(child, true);
    assert_eq!(code, Some(143), "{message}");
    assert!(message.contains("warning: here was deleted; creating it again"), "{message}");
    let steps: Vec<_> = metrics(&home, "here").iter().map(|line| line["step"].as_u64()).collect();
    assert!(steps.iter().zip(1..).all(|(step, n)| *step == Some(20 * n)), "no gaps: {steps:?}");
    home.run("inspect here").success();
    let next = checkpoint(&home, "here").progress.step + 1;
    home.run(&format!("train --resume --out here --stop-after {next}")).success();
}

/// A run whose folder was moved must not overwrite a new run of the same name.
#[test]
fn a_new_run_of_the_same_name_is_not_overwritten() {
    let home = Home::new();
    fs::create_dir(home.path("other")).expect("a folder");
    home.write("other/.lock", "process 1");
    home.write("other/config.toml", "another run's");
    // With rare writes, so that the folder is not created again before the other run starts.
    let rare = LONG.replace("--eval-every 20", "--eval-every 1000000000");
    let first = start(&home, &format!("{rare} --checkpoint-every 1s --out here"));
    wait_until(|| {
        home.path("here/manifest.json").exists() && home.path("here/checkpoint.safetensors").exists()
    });
    fs::rename(home.path("here"), home.path("moved")).expect("moved away");
    fs::rename(home.path("other"), home.path("here")).expect("moved there");
    let output = || fs::read_to_string(&first.1).expect("what it output");
    wait_until(|| output().contains("another run uses a new folder of this name"));
    assert_eq!(file_names(&home.path("here")).len(), 2, "{:?}", file_names(&home.path("here")));
    assert_eq!(home.read("here/config.toml"), "another run's");
    // The run writes its files as soon as the name is free again.
    fs::remove_dir_all(home.path("here")).expect("removed");
    let (code, message) = end(first, true);
    assert_eq!(code, Some(143), "{message}");
    assert!(
        checkpoint(&home, "here").progress.step > 20 && home.path("here/config.toml").exists(),
        "{message}"
    );
}

#[test]
fn deleted_files_are_written_again() {
    let home = Home::new();
    let child = start(&home, &format!("{LONG} --out here"));
    wait_for(&home, 1);
    for name in file_names(&home.path("here")) {
        let _ = fs::remove_file(home.path("here").join(name));
    }
    wait_for(&home, 2);
    assert_eq!(end(child, true).0, Some(143));
    let next = checkpoint(&home, "here").progress.step + 1;
    home.run(&format!("train --resume --out here --stop-after {next}")).success();
}

#[test]
fn two_runs_cannot_share_a_folder() {
    let home = Home::new();
    let child = start(&home, &format!("{LONG} --out here"));
    wait_for(&home, 1);
    let id = child.0.as_ref().expect("a run").id().to_string();
    let parts = ["here is in use by process ", &id, "choose another --out"];
    refused(home.run("train --resume --out here"), 1, &parts);
    // Reading is allowed.
    home.run("sample here --length 5").success();
    assert_eq!(end(child, true).0, Some(143));
    home.run("inspect here").success();
}
