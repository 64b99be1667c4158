//! Runs and their checkpoints.

use super::{
    LAST, PAUSED, RUN, Section,
    prepare::Prepare::{CopyOf, Cut, File, Flip, Folder, Quantize, Remove, Train},
};

pub const FOLDERS_OF_RUNS: Section = (
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
);

pub const CHECKPOINTS: Section = (
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
);

pub const EVALUATIONS_AND_SAMPLES: Section = (
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
);

pub const QUANTIZED_WEIGHTS: Section = (
    "Quantized weights",
    &[
        (RUN, "quantize here --out weights.int8"),
        (RUN, "quantize here --out text.safetensors --split test"),
        (
            &[Train(""), CopyOf("here/best.safetensors", "alone.safetensors")],
            "quantize alone.safetensors --out small.safetensors",
        ),
        (QUANTIZED, "quantize here --out small.safetensors"),
        (QUANTIZED, "quantize small.safetensors --out smaller.safetensors"),
        (QUANTIZED, "train text.txt --init-from small.safetensors"),
        (&[], "train text.txt --precision int8"),
        (
            &[Train(""), Quantize("small.safetensors"), CopyOf("small.safetensors", LAST)],
            "train --resume --out here",
        ),
        (
            &[Train(""), Quantize("small.safetensors"), Flip("small.safetensors", 9)],
            "sample small.safetensors",
        ),
    ],
);

const QUANTIZED: &[super::prepare::Prepare] = &[Train(""), Quantize("small.safetensors")];

pub const VIEWING_RUNS: Section = (
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
);
