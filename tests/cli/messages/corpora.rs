//! Texts, token ids and vocabularies.

use super::{
    RUN, Section,
    prepare::Prepare::{File, Folder, Train},
};

pub const TEXTS: Section = (
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
);

pub const TOKEN_IDS: Section = (
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
);

pub const VOCABULARIES_AND_FINE_TUNING: Section = (
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
        (&[Train(""), File("c.toml", b"cell = \"gru\"")], "train text.txt --init-from here --config c.toml"),
        (
            &[Train(""), File("new.txt", "Line \u{20ac}".as_bytes())],
            "train new.txt --init-from here --unknown error",
        ),
    ],
);
