//! Files of other programs.

use super::{
    LAST, RUN, Section,
    prepare::Prepare::{CopyOf, Cut, File, Train},
};

/// A safetensors file without tensors.
const EMPTY: &[u8] = b"\x08\0\0\0\0\0\0\0{      }";
/// A file of RTNeural with a layer that is not supported.
const CONVOLUTION: &[u8] =
    br#"{"in_shape": [null, 1], "layers": [{"type": "conv1d", "shape": [null, 1], "weights": []}]}"#;

pub const IMPORTS: Section = (
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
        (&[Train(""), File("net.json", CONVOLUTION)], "import net.json --out new.safetensors --like here"),
        (&[File("net.onnx", b"\x08\x08\x12\x07pytorch")], "import net.onnx --out new.safetensors"),
        (&[Train(""), CopyOf(LAST, "bad"), Cut("bad", 5000)], "import bad --out new.safetensors"),
    ],
);
