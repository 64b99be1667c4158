//! Encoded and compressed corpora together with `--init-from` and `--vocabulary`.

use super::{
    resume::{assert_same, checkpoint},
    texts::{gzip, utf16, zstd},
    *,
};

fn marked_utf16(text: &str) -> Vec<u8> {
    [b"\xFF\xFE", &utf16(text)[..]].concat()
}

#[test]
fn fine_tuning_reads_a_corpus_in_another_encoding() {
    let home = Home::new();
    home.train("--out first").success();
    let other = text().replace('e', "\u{3b5}");
    home.write("wide.txt", marked_utf16(&other));
    home.write("unmarked", utf16(&other));
    home.write("narrow.txt", &other);
    let forms =
        [("wide.txt", "", "wide"), ("unmarked", "--encoding utf-16le", "un"), ("narrow.txt", "", "utf8")];
    for (name, flags, run) in forms {
        let tune = |flags: &str| {
            home.run(&format!(
                "train {name} --init-from first --batch 3 --steps 9 --max-steps 18 --threads 1 {flags}"
            ))
            .success()
        };
        tune(&format!("{flags} --out {run}-whole"));
        let message = stderr(&tune(&format!("{flags} --out {run}-half --stop-after 7")));
        assert!(message.contains("that first lacks, with random weights: \"\u{3b5}\""), "{message}");
        home.run(&format!("train --resume --out {run}-half")).success();
        assert_same(&home, &format!("{run}-whole"), &format!("{run}-half"));
        home.run(&format!("eval {run}-half")).success();
        home.run(&format!("find-rate {name} --init-from first --batch 3 --steps 9 --trials 10 {flags}"))
            .success();
    }
    let [wide, un, utf8] = ["wide", "un", "utf8"].map(|run| checkpoint(&home, &format!("{run}-half")));
    assert!(wide.parameters == un.parameters && wide.parameters == utf8.parameters);
    // The encoding belongs to the corpus: the weights do not bring it along.
    home.run("train narrow.txt --init-from un-half --batch 3 --steps 9 --max-steps 2 --out back").success();
    assert!(!home.read("back/config.toml").contains("encoding"));
    home.train("--unit byte --out bytes").success();
    refused(
        home.run("train unmarked --init-from bytes --encoding utf-16le --out here"),
        2,
        &["encoding = utf-16le is invalid: the bytes of a text"],
    );
}

#[test]
fn a_vocabulary_applies_to_decoded_files_and_to_standard_input() {
    let home = Home::new();
    home.write("list", "a\nb\n \n\\n\n\u{fffd}\n");
    let text = "a cab,\na b \u{20ac}!\n".repeat(40);
    home.write("plain.txt", &text);
    home.write("wide.txt", marked_utf16(&text));
    for unknown in ["skip", "replace"] {
        let flags = format!("--vocabulary list --unknown {unknown} {TINY}");
        let piped = |arguments: &str| home.command(arguments).write_stdin(text.clone()).assert().success();
        home.run(&format!("train plain.txt {flags} --out {unknown}")).success();
        home.run(&format!("train wide.txt {flags} --out {unknown}-wide")).success();
        assert_same(&home, unknown, &format!("{unknown}-wide"));
        piped(&format!("train - {flags} --stop-after 6 --out {unknown}-piped"));
        piped(&format!("train --resume --out {unknown}-piped"));
        assert_same(&home, unknown, &format!("{unknown}-piped"));
        let ended = stderr(&piped(&format!("train --resume --out {unknown}-piped")));
        assert!(ended.contains(" N < CORPUS with N above "), "{ended}");
        let losses = [stdout(&home.run(&format!("eval {unknown} --json")).success())];
        assert_eq!(losses, [stdout(&piped(&format!("eval {unknown}-piped --json")))]);
    }
}

#[test]
fn unknown_symbols_are_skipped_after_decompression() {
    let home = Home::new();
    home.train("--out here").success();
    let other = format!("\u{395}\u{3bb}{}", text());
    home.write("other.txt", &other);
    home.write("other.zst", zstd(other.as_bytes()));
    home.write("other.gz", gzip(&utf16(&other)));
    let eval = |text: &str| stdout(&home.run(&format!("eval here {text} --json --unknown skip")).success());
    assert_eq!(eval("other.zst"), eval("other.txt"));
    assert_eq!(eval("other.gz --encoding utf-16le"), eval("other.txt"));
    refused(home.run("eval here other.zst"), 1, &["other.zst: the symbol '\u{395}' (U+0395) at offset 0"]);
}

#[test]
fn documents_of_a_compressed_corpus_resume() {
    let home = Home::new();
    let documents: String = (0..90).map(|n| format!("Document {n:02}, caf\u{e9}.<|end|>")).collect();
    home.write("documents.gz", gzip(documents.as_bytes()));
    // The symbols of the marker are skipped too.
    home.write("list", ('a'..='z').chain('0'..='9').map(|c| format!("{c}\n")).collect::<String>());
    for (unknown, run) in [("--unknown skip --vocabulary list", "skip"), ("", "all")] {
        let flags = "--document-marker <|end|> --shuffle-documents --split-by document";
        home.run(&format!("train documents.gz {TINY} {flags} {unknown} --out {run}")).success();
        fs::create_dir(home.path(&format!("{run}-killed"))).expect("a folder");
        home.write(&format!("{run}-killed/config.toml"), home.read(&format!("{run}/config.toml")));
        home.run(&format!("train --resume --out {run}-killed --stop-after 5")).success();
        home.run(&format!("train --resume --out {run}-killed")).success();
        assert_same(&home, run, &format!("{run}-killed"));
        home.run(&format!("eval {run}-killed")).success();
        home.run(&format!("sample {run} --length 20")).success();
    }
}
