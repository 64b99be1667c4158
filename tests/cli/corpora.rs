//! Corpora of many files, from the command line.

use super::*;

fn tree() -> Home {
    let home = Home::new();
    for (name, line) in
        [("src/a.c", "int a;\n"), ("src/b.c", "int b;\n"), ("src/deep/c.c", "int c;\n"), ("src/d.h", "h\n")]
    {
        fs::create_dir_all(home.path(name).parent().expect("a folder")).expect("a folder");
        home.write(name, line.repeat(60));
    }
    home.write("src/image", b"\x89PNG\0\0");
    home.write("src/.gitignore", "*.log\n");
    home.write("src/x.log", "never read");
    home
}

fn manifest(home: &Home) -> Value {
    serde_json::from_str(&home.read("here/manifest.json")).expect("JSON")
}

#[test]
fn a_folder_is_filtered_and_recorded() {
    let home = tree();
    let run = home.run(&format!("train src --include *.c --exclude deep/ {TINY} --out here")).success();
    assert!(stderr(&run).contains("corpus  2 files below src: 840 characters"), "{}", stderr(&run));
    let listed = manifest(&home);
    assert_eq!(
        (&listed["bytes"], &listed["symbols"], &listed["skipped"]["binary"]),
        (&840.into(), &840.into(), &0.into())
    );
    assert_eq!(listed["documents"][1]["path"], "src/b.c");
    assert_eq!(
        listed["documents"][1]["checksum"],
        format!("{:08x}", crc32fast::hash("int b;\n".repeat(60).as_bytes()))
    );
    // The patterns belong to the run: it is resumed and evaluated with the same text.
    home.run("eval here --split all").success();
    home.run(&format!("train src {TINY} --out all")).success();
    let all: Value = serde_json::from_str(&home.read("all/manifest.json")).expect("JSON");
    assert_eq!((all["documents"].as_array().map(Vec::len), &all["skipped"]["binary"]), (Some(4), &1.into()));
}

#[test]
fn documents_are_shuffled_separated_and_split_as_a_whole() {
    let home = tree();
    let flags = "--shuffle-documents --separator \\n--\\n --split-by document --val-fraction 0.3";
    home.run(&format!("train src {flags} {TINY} --stop-after 6 --out here")).success();
    let config = home.read("here/config.toml");
    for line in ["shuffle-documents = true", "split-by = \"document\""] {
        assert!(config.contains(line), "{config}");
    }
    let listed = manifest(&home);
    let names: Vec<_> =
        listed["documents"].as_array().expect("a list").iter().map(|d| d["path"].clone()).collect();
    assert_eq!(names.len(), 4);
    assert!(!names.is_sorted_by_key(|name| name.to_string()), "{names:?}");
    home.run("train --resume --out here").success();
    let lines = json_lines(&stdout(&home.run("eval here --json").success()));
    // The last two files, of 120 and 420 symbols with a separator of 4, are nearest to 0.3 of the
    // text: 16 streams of 33 targets.
    assert_eq!(lines[0]["symbols"], 528);
    refused(
        home.run(&format!("train text.txt --split-by document {TINY}")),
        2,
        &["split-by = document is invalid: the text has 1 document where 2 splits need one each"],
    );
}

#[test]
fn patterns_that_match_nothing_or_are_invalid_are_refused() {
    let home = tree();
    refused(
        home.run("train src --include *.py"),
        1,
        &["no text found below src", "or filtered out by include *.py"],
    );
    refused(home.run("train src --exclude !x"), 2, &["exclude = \"!x\" is invalid"]);
    refused(home.run("train src --separator \\q"), 2, &["--separator", "after a backslash found 'q'"]);
    #[cfg(unix)]
    refused(home.run("train /dev/zero"), 1, &["/dev/zero is a device, not a text"]);
}

/// The files of a run are not a part of its text, even if it was killed before its first checkpoint.
#[test]
fn a_run_inside_the_folder_of_its_text_can_start_again() {
    let home = tree();
    home.run(&format!("train src {TINY} --out src/here")).success();
    let whole = home.read("src/here/manifest.json");
    for name in file_names(&home.path("src/here")).iter().filter(|name| *name != "config.toml") {
        if name != ".lock" {
            fs::remove_file(home.path("src/here").join(name)).expect("a file");
        }
    }
    home.run("train --resume --out src/here").success();
    let checksum = |text: &str| serde_json::from_str::<Value>(text).expect("JSON")["checksum"].clone();
    assert_eq!(checksum(&home.read("src/here/manifest.json")), checksum(&whole));
}

#[test]
fn a_changed_folder_is_refused_with_the_name_of_the_file() {
    let home = tree();
    let run = home.run(&format!("train src {TINY} --shuffle-documents --stop-after 6 --out here")).success();
    assert!(stderr(&run).contains(" symbols (1 binary file skipped)"), "{}", stderr(&run));
    let refuses = |part: &str| refused(home.run("train --resume --out here"), 1, &["was trained on (", part]);
    home.write("src/new.c", "int n;\n");
    refuses("src/new.c is new or has changed; checksum ");
    refused(home.run("eval here"), 1, &["src/new.c is new or has changed"]);
    fs::remove_file(home.path("src/new.c")).expect("a file");
    let before = home.read("src/d.h");
    home.write("src/d.h", before.to_uppercase());
    refuses("src/d.h is new or has changed; checksum ");
    fs::remove_file(home.path("src/d.h")).expect("a file");
    refuses("src/d.h is missing; checksum ");
    home.write("src/d.h", before);
    home.run("train --resume --out here").success();
}
