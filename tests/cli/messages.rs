//! Compares the error messages of the command with `docs/errors.md`.
//!
//! `UNROLLED_WRITE_ERRORS=1 cargo test --test main messages` rewrites the page.
#![cfg(target_os = "linux")]

use super::*;
use std::fmt::Write;

/// The page, relative to the package.
const PAGE: &str = "docs/errors.md";

/// A heading and its cases: files to prepare, and the arguments.
type Section = (&'static str, &'static [(&'static [Prepare], &'static str)]);

#[derive(Clone, Copy, Debug)]
enum Prepare {
    /// A file with this content.
    File(&'static str, &'static [u8]),
    Folder(&'static str),
    /// A run in the folder `here`, with these additional arguments.
    Train(&'static str),
    /// Flips a bit of this file, at this distance in bytes from its end.
    Flip(&'static str, usize),
    /// Truncates the file to this number of bytes.
    Cut(&'static str, u64),
    Remove(&'static str),
    CopyOf(&'static str, &'static str),
}
use Prepare::{CopyOf, Cut, File, Flip, Folder, Remove, Train};

const RUN: &[Prepare] = &[Train("")];
const PAUSED: &[Prepare] = &[Train("--stop-after 6")];
/// A safetensors file without tensors.
const EMPTY: &[u8] = b"\x08\0\0\0\0\0\0\0{      }";
/// A file of RTNeural with a layer that is not supported.
const CONVOLUTION: &[u8] =
    br#"{"in_shape": [null, 1], "layers": [{"type": "conv1d", "shape": [null, 1], "weights": []}]}"#;
const LAST: &str = "here/checkpoint.safetensors";

const SECTIONS: &[Section] = &[
    (
        "Command-line arguments",
        &[
            (&[], "frobnicate"),
            (&[], "train text.txt --hiden 3"),
            (&[], "train text.txt --hidden many"),
            (&[], "train text.txt --hidden -3"),
            (&[], "train text.txt --seed -1"),
            (&[], "train text.txt --clip 1e39"),
            (&[], "train text.txt --cell lstn"),
            (&[], "train text.txt --preset nope"),
            (&[], "train text.txt --threads 0"),
            (&[], "train text.txt --threads 9999"),
            (&[], "train text.txt --stop-after 0"),
            (&[], "train text.txt --checkpoint-every soon"),
            (&[], "train text.txt --keep 0"),
            (&[], "train text.txt --log-every 0"),
            (&[], "train text.txt --max-memory much"),
            (&[], "train text.txt --separator \\q"),
            (&[], "train text.txt --layer hidden"),
            (&[], "train text.txt --layer cell=\"lstn\""),
            (&[], "train --resume"),
            (&[], "train --accept-changed-text"),
            (&[], "train text.txt --extend --preset lecture"),
            (&[], "train text.txt --extend"),
            (&[], "train --resume --out here --preset lecture"),
        ],
    ),
    (
        "Invalid settings",
        &[
            (&[], "train text.txt --hidden 0"),
            (&[], "train text.txt --layers 0"),
            (&[], "train text.txt --batch 0"),
            (&[], "train text.txt --steps 0"),
            (&[], "train text.txt --embedding 0"),
            (&[], "train text.txt --dropout 1"),
            (&[], "train text.txt --learning-rate nan"),
            (&[], "train text.txt --learning-rate -1"),
            (&[], "train text.txt --clip -1"),
            (&[], "train text.txt --epochs 0"),
            (&[], "train text.txt --eval-every 0"),
            (&[], "train text.txt --eval-symbols 1"),
            (&[], "train text.txt --patience 0"),
            (&[], "train text.txt --patience 3 --val-fraction 0"),
            (&[], "train text.txt --accumulate 0"),
            (&[], "train text.txt --momentum 1 --optimizer sgd"),
            (&[], "train text.txt --weight-decay 0.1"),
            (&[], "train text.txt --label-smoothing 1"),
            (&[], "train text.txt --val-fraction 1"),
            (&[], "train text.txt --val-fraction 0.6 --test-fraction 0.4"),
            (&[], "train text.txt --init-scale 0"),
            (&[], "train text.txt --layer projection=9,cell=\"gru\""),
            (&[], "train text.txt --layer zoneout=2"),
            (&[], "train text.txt --layer hidden=8,bidirectional=true"),
            (&[], "train text.txt --layer input-keep-prob=0.0"),
            (&[], "train text.txt --split-by document"),
            (&[], "train text.txt --hidden 300 --max-memory 1MB"),
            (&[], "train text.txt --hidden 4000000 --batch 1 --steps 1"),
        ],
    ),
    (
        "Configuration files",
        &[
            (&[File("own.toml", b"[[stack]]\nhidden = 8\n")], "train text.txt --config own.toml --hidden 9"),
            (&[], "train text.txt --config none.toml"),
            (&[File("c.toml", b"hiden = 3")], "train text.txt --config c.toml"),
            (&[File("c.toml", b"hidden = \"many\"")], "train text.txt --config c.toml"),
            (&[File("c.toml", b"hidden = -1")], "train text.txt --config c.toml"),
            (&[File("c.toml", b"cell = \"lstn\"")], "train text.txt --config c.toml"),
            (&[File("c.toml", b"a = 1\nb = = 2")], "train text.txt --config c.toml"),
            (&[File("c.toml", b"preset = \"nope\"")], "train text.txt --config c.toml"),
            (&[File("c.toml", b"threads = 2")], "train text.txt --config c.toml"),
            (&[File("c.toml", b"corpus = 3")], "train text.txt --config c.toml"),
            (&[File("c.toml", b"[run]\nkeep = \"all\"")], "train text.txt --config c.toml"),
            (&[File("c.toml", b"\xff\xfe")], "train text.txt --config c.toml"),
        ],
    ),
    (
        "Texts",
        &[
            (&[], "train missing.txt"),
            (&[], "train text.txt/inside"),
            (&[File("empty.txt", b"")], "train empty.txt"),
            (&[File("one.txt", b"a")], "train one.txt"),
            (&[File("short.txt", b"just a few symbols")], "train short.txt --batch 4 --steps 8"),
            (
                &[File("short.txt", b"ten bytes.")],
                "train short.txt --batch 1 --steps 3 --windows sliding --val-fraction 0.8",
            ),
            (&[File("latin.txt", b"caf\xe9 and more of it")], "train latin.txt"),
            (&[File("some.txt", b"\xc3\xa9t\xc3\xa9 and one stray \xe9")], "train some.txt"),
            (&[File("wide.txt", b"t\0e\0x\0t\0")], "train wide.txt"),
            (&[File("wide.txt", b"\xff\xfe\0\0t\0\0\0")], "train wide.txt"),
            (&[File("report.docx", b"PK\x03\x04\x14\0")], "train report.docx"),
            (&[File("report.pdf", b"%PDF-1.7\n")], "train report.pdf --invalid replace"),
            (&[File("image.png", b"\x89PNG\r\n\x1a\n\0\0")], "train image.png"),
            (&[File("data", b"some\0bytes")], "train data"),
            (&[File("text.gz", b"\x1f\x8b\x08\0\0\0\0\0")], "train text.gz"),
            (&[File("text.zst", b"\x28\xb5\x2f\xfd")], "train text.zst"),
            (&[File("wide.txt", b"\xff\xfet\0e")], "train wide.txt"),
            (&[], "train --encoding utf-16le"),
            (&[], "train text.txt --encoding latin-9000"),
            (&[], "train text.txt --encoding utf-32"),
            (&[], "train text.txt --encoding utf-16le --unit byte"),
            (&[], "train text.txt --shuffle-documents"),
            (&[], "train text.txt --document-marker <|end|>"),
            (&[], "train text.txt --document-marker \\n --separator x"),
            (&[], "train - -"),
            (&[Folder("folder")], "train folder"),
            (&[Folder("folder"), File("folder/image", b"\0")], "train folder --include *.txt"),
            (&[Folder("folder")], "train folder --exclude !x"),
            (&[], "train /dev/zero"),
        ],
    ),
    (
        "Token ids",
        &[
            (&[File("odd.bin", b"\x01\0\x02")], "train odd.bin --unit ids"),
            (&[File("ids.bin", b"\x01\0\x09\0")], "train ids.bin --unit ids --vocabulary-size 9"),
            (&[File("ids.bin", b"\x01\0\x09\0")], "train ids.bin --unit ids --id-width 8"),
            (&[File("ids.bin", b"\x01\0\x09\0")], "train ids.bin --vocabulary-size 9"),
            (&[File("ids.bin", b"\x01\0\x09\0")], "train ids.bin --unit ids --invalid skip"),
            (&[Folder("data"), File("data/ids.bin", b"\x01\0\x09\0")], "train data --unit ids"),
            (&[], "train --unit ids"),
        ],
    ),
    (
        "Vocabularies and fine-tuning",
        &[
            (&[File("list.txt", b"a\nbc\n")], "train text.txt --vocabulary list.txt"),
            (&[File("list.txt", b"a\n\nb\n")], "train text.txt --vocabulary list.txt"),
            (&[File("list.txt", b"a\n\\q\n")], "train text.txt --vocabulary list.txt"),
            (&[File("list.txt", b"a\nb\na\n")], "train text.txt --vocabulary list.txt"),
            (&[File("list.json", b"[\"a\", \"<unk>\"]")], "train text.txt --vocabulary list.json"),
            (&[File("list.json", b"{\"a\": ")], "train text.txt --vocabulary list.json"),
            (&[File("list.json", b"[97, 256]")], "train text.txt --vocabulary list.json"),
            (&[File("list.txt", b"L\ni\n")], "train text.txt --vocabulary list.txt"),
            (&[File("list.txt", b"L\ni\n")], "train text.txt --vocabulary list.txt --unknown replace"),
            (&[], "train text.txt --vocabulary none.txt"),
            (&[], "train text.txt --vocabulary all-bytes --unit char"),
            (RUN, "train text.txt --vocabulary all-bytes --init-from here"),
            (&[], "train text.txt --unknown skip"),
            (&[], "train text.txt --init-from nowhere"),
            (RUN, "train text.txt --init-from here --hidden 32"),
            (RUN, "train text.txt --init-from here --unit byte"),
            (RUN, "train text.txt --init-from here --layer hidden=32"),
            (
                &[Train(""), File("c.toml", b"cell = \"gru\"")],
                "train text.txt --init-from here --config c.toml",
            ),
            (
                &[Train(""), File("new.txt", "Line \u{20ac}".as_bytes())],
                "train new.txt --init-from here --unknown error",
            ),
        ],
    ),
    (
        "Folders of runs",
        &[
            (RUN, "train text.txt --out here"),
            (&[], "train text.txt --out text.txt"),
            (&[], "train text.txt --out text.txt/run"),
            (&[], "train text.txt --out /proc/run"),
            (&[], "train --resume --out nowhere"),
            (PAUSED, "train --resume --out here --hidden 32"),
            (PAUSED, "train --resume --out here --max-steps 30"),
            (PAUSED, "train --resume --out here --extend --max-steps 3"),
            (PAUSED, "train --resume --out here --extend --batch 3"),
            (PAUSED, "train --resume --out here --stop-after 6"),
            (&[Train("--stop-after 6"), File("text.txt", b"another text")], "train --resume --out here"),
            (&[Train("--stop-after 6"), Remove("text.txt")], "train --resume --out here"),
            (&[Train("--stop-after 6"), File("here/config.toml", b"hiden = 3")], "train --resume --out here"),
            (&[Train("--stop-after 3 --keep 1"), Flip(LAST, 9)], "train --resume --out here"),
        ],
    ),
    (
        "Checkpoints",
        &[
            (&[], "sample"),
            (&[], "eval nowhere"),
            (&[Folder("folder")], "inspect folder"),
            (&[Train("--val-fraction 0")], "eval here --checkpoint best"),
            (&[Train(""), CopyOf(LAST, "bad"), Flip("bad", 9)], "inspect bad"),
            (&[Train(""), CopyOf(LAST, "bad"), Cut("bad", 5000)], "inspect bad"),
            (&[Train(""), CopyOf(LAST, "bad"), Cut("bad", 3)], "inspect bad"),
            (&[File("bad", b"not a checkpoint at all")], "inspect bad"),
            (&[File("bad", b"\x02\0\0\0\0\0\0\0{}")], "inspect bad"),
            (RUN, "eval here/best.safetensors --checkpoint last"),
        ],
    ),
    (
        "Imports",
        &[
            (RUN, "import here/best.safetensors"),
            (RUN, "import here/best.safetensors --out here/best.safetensors"),
            (RUN, "import here/best.safetensors --out here"),
            (RUN, "import here/best.safetensors --out new.safetensors --ignore scale"),
            (RUN, "import here/best.safetensors --out new.safetensors --ignore head.bias"),
            (RUN, "import here/best.safetensors --out new.safetensors --activation relu"),
            (&[File("net.safetensors", EMPTY)], "import net.safetensors --out new.safetensors"),
            (
                &[Train(""), File("net.safetensors", EMPTY)],
                "import net.safetensors --out new.safetensors --like here",
            ),
            (&[], "import /dev/zero --out new.safetensors"),
            (&[File("net.pt", b"PK\x03\x04")], "import net.pt --out new.safetensors"),
            (&[File("net.json", b"{\"layers\": []}")], "import net.json --out new.safetensors"),
            (&[File("net.json", CONVOLUTION)], "import net.json --out new.safetensors"),
            (&[File("net.json", CONVOLUTION)], "inspect net.json"),
            (&[File("net.json", b"{\"layers\": [")], "import net.json --out new.safetensors"),
            (&[File("net.json", CONVOLUTION)], "import net.json --out new"),
            (
                &[Train(""), File("net.json", CONVOLUTION)],
                "import net.json --out new.safetensors --like here",
            ),
            (&[File("net.onnx", b"\x08\x08\x12\x07pytorch")], "import net.onnx --out new.safetensors"),
            (&[Train(""), CopyOf(LAST, "bad"), Cut("bad", 5000)], "import bad --out new.safetensors"),
        ],
    ),
    (
        "Evaluations and samples",
        &[
            (RUN, "eval here --split test"),
            (RUN, "eval here --eval-streams 0"),
            (RUN, "eval here --top-k 0"),
            (&[Train(""), File("other.txt", "Line \u{20ac}".as_bytes())], "eval here other.txt"),
            (&[Train(""), CopyOf("here/best.safetensors", "alone.safetensors")], "eval alone.safetensors"),
            (RUN, "sample here --prompt \u{20ac}"),
            (RUN, "sample here --prompt-file none.txt"),
            (&[Train(""), File("prompt.txt", b"caf\xe9")], "sample here --prompt-file prompt.txt"),
            (
                &[Train(""), File("prompt.txt", b"\x83\xff")],
                "sample here --prompt-file prompt.txt --encoding shift_jis",
            ),
            (RUN, "sample here --encoding utf-8"),
            (RUN, "sample here --document"),
            (&[Train(""), File("latin.txt", b"caf\xe9 and more of it")], "eval here latin.txt"),
            (RUN, "eval here --encoding utf-8"),
            (RUN, "sample here --prompt a --prompt-file b"),
            (RUN, "sample here --prompt a --encoding latin1"),
            (RUN, "sample here --temperature -1"),
            (RUN, "sample here --temperature 1e39"),
            (RUN, "eval here --unknown skip"),
            (RUN, "sample here --top-k 0"),
            (RUN, "sample here --top-p 1.5"),
            (RUN, "bench --hidden 0"),
            (RUN, "bench --seconds 0"),
        ],
    ),
    (
        "Viewing runs",
        &[
            (&[], "watch"),
            (RUN, "watch here"),
            (&[], "report nowhere"),
            (RUN, "report here --out none/page.html"),
            (&[], "compare"),
            (RUN, "compare here nowhere"),
            (RUN, "compare here --out page.pdf"),
            (RUN, "compare here --over years"),
            (&[Train(""), File("here/steps.jsonl", b"half a li\n")], "watch here --once"),
        ],
    ),
];

impl Prepare {
    fn apply(self, home: &Home) {
        match self {
            File(name, content) => home.write(name, content),
            Folder(name) => fs::create_dir(home.path(name)).expect("a folder"),
            Train(arguments) => _ = home.train(&format!("--out here {arguments}")).success(),
            Flip(name, before_end) => {
                let mut bytes = fs::read(home.path(name)).expect("a file");
                let at = bytes.len() - before_end;
                bytes[at] ^= 1;
                home.write(name, bytes);
            }
            Cut(name, length) => {
                let file = fs::OpenOptions::new().write(true).open(home.path(name)).expect("a file");
                file.set_len(length).expect("cut");
            }
            Remove(name) => fs::remove_file(home.path(name)).expect("a file"),
            CopyOf(from, to) => _ = fs::copy(home.path(from), home.path(to)).expect("a copy"),
        }
    }

    /// Describes the preparation for the page.
    fn description(self) -> Option<String> {
        Some(match self {
            File(name, []) => format!("`{name}` is empty"),
            File(name, content) => format!("`{name}` holds `{}`", content.escape_ascii()),
            Folder(_) => return None,
            Train("") => "after `train text.txt --out here`".to_owned(),
            Train(arguments) => format!("after `train text.txt --out here {arguments}`"),
            Flip(name, _) => format!("with a flipped bit in `{name}`"),
            Cut(name, length) => format!("`{name}` cut to {length} bytes"),
            Remove(name) => format!("without `{name}`"),
            CopyOf(from, to) => format!("`{to}` is a copy of `{from}`"),
        })
    }
}

/// Returns the exit code and the line on standard error, without values that depend on the machine.
fn error_of(prepares: &[Prepare], arguments: &str) -> (i32, String) {
    let home = Home::new();
    prepares.iter().for_each(|prepare| prepare.apply(&home));
    let assert = home.run(arguments);
    let said = stderr(&assert);
    let code = assert.get_output().status.code().expect("no signal ends it");
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(lines.len(), 1, "there must be one line: {arguments}: {said}");
    let folder = home.path("").canonicalize().expect("a folder").display().to_string();
    (code, independent(&lines[0].replace(&folder, "/home/you")))
}

/// Replaces values that depend on the machine or on time: memory, checksums, lengths.
fn independent(line: &str) -> String {
    let mut line = line.to_owned();
    for (before, after, stands) in [
        ("more than the ", "; lower hidden", "8.0 GiB of this machine"),
        (": found checksum ", ", expected ", "01234567"),
        (": found checksum 01234567, expected ", "; use another copy", "89abcdef"),
        (": found 5000 bytes, expected ", " or more", "5024"),
    ] {
        let start = line.find(before).map(|at| at + before.len());
        if let (Some(start), Some(end)) = (start, line.find(after)) {
            line.replace_range(start..end, stands);
        }
    }
    line
}

fn page() -> (String, usize) {
    let mut page = "# Error messages\n\n\
         Every error is one line on standard error. The exit code is 2 for wrong usage and 1 for any other\n\
         error. A test compares this page with the messages of the command. `text.txt` is a small text, and the\n\
         memory is that of an example machine.\n"
        .to_owned();
    let mut count = 0;
    for (heading, cases) in SECTIONS {
        write!(page, "\n## {heading}\n").expect("a string");
        for (prepares, arguments) in *cases {
            let (code, line) = error_of(prepares, arguments);
            let given: Vec<_> = prepares.iter().filter_map(|prepare| prepare.description()).collect();
            let given = if given.is_empty() { String::new() } else { format!(" ({})", given.join(", ")) };
            write!(page, "\n`unrolled {arguments}`{given}: exit {code}\n\n    {line}\n").expect("a string");
            count += 1;
        }
    }
    (page, count)
}

#[test]
fn the_page_has_the_messages_of_the_command() {
    let (found, count) = page();
    assert!(count >= 60, "{count}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var_os("UNROLLED_WRITE_ERRORS").is_some() {
        fs::write(&path, &found).expect("a page");
    }
    let written = fs::read_to_string(&path).expect("the page");
    for (written, found) in written.lines().zip(found.lines()) {
        assert_eq!(written, found, "{PAGE}; UNROLLED_WRITE_ERRORS=1 rewrites it");
    }
    assert_eq!(written, found, "{PAGE}");
}
