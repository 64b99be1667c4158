//! The files that a case needs.

use super::super::*;
use Prepare::{CopyOf, Cut, File, Flip, Folder, Quantize, Remove, Train};

/// A preparation of a folder.
#[derive(Clone, Copy, Debug)]
pub enum Prepare {
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
    /// The run in the folder `here`, quantized in this file.
    Quantize(&'static str),
}

impl Prepare {
    /// Prepares a folder.
    pub fn apply(self, home: &Home) {
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
            Quantize(name) => _ = home.run(&format!("quantize here --out {name} --no-loss")).success(),
        }
    }

    /// Describes the preparation for the page.
    pub fn description(self) -> Option<String> {
        Some(match self {
            File(name, []) => format!("`{name}` is empty"),
            File(name, content) => format!("`{name}` holds `{}`", content.escape_ascii()),
            Folder(_) => return None,
            Train("") => "after `train text.txt --out here`".to_owned(),
            Train(arguments) => format!("after `train text.txt --out here {arguments}`"),
            Flip(name, _) => format!("with a flipped bit in `{name}`"),
            Cut(name, length) => format!("`{name}` cut to {length} bytes"),
            Remove(name) => format!("without `{name}`"),
            Quantize(name) => format!("after `quantize here --out {name}`"),
            CopyOf(from, to) => format!("`{to}` is a copy of `{from}`"),
        })
    }
}
