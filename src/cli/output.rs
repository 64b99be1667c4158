//! Writing to standard output and standard error. A failed write is an error or is ignored; it
//! never panics.
//!
//! On a terminal, control characters are shown as escapes (see [`super::visible`]); a pipe or a
//! file gets the exact bytes.

use super::{
    failure::Failure,
    visible::{Visible, visible, visible_json},
};
use serde::Serialize;
use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

/// True with `--quiet`.
static QUIET: AtomicBool = AtomicBool::new(false);

/// True in the processes of a job that print nothing.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Silences all but [`alarm`] from here on.
#[cfg(feature = "mpi")]
pub fn be_silent() {
    be_quiet();
    SILENT.store(true, Ordering::Relaxed);
}

/// Silences [`note`] from here on.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Returns whether `--quiet` was given.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Returns whether progress bars are drawn on standard error.
pub fn shows_bars() -> bool {
    io::stderr().is_terminal() && !is_quiet()
}

/// Writes a text to standard output and flushes it.
pub fn write(text: &str) -> Result<(), Failure> {
    match io::stdout().is_terminal() {
        true => write_bytes(visible(text).as_bytes()),
        false => write_bytes(text.as_bytes()),
    }
}

/// Writes one line to standard output.
pub fn line(text: &str) -> Result<(), Failure> {
    write(&format!("{text}\n"))
}

/// Writes one JSON object as a line of standard output.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::Output(error.into()))?;
    line(&if io::stdout().is_terminal() { visible_json(&text) } else { text })
}

/// Writes progress and other information to standard error, unless `--quiet` was given.
pub fn note(text: &str) {
    if !is_quiet() {
        message(text);
    }
}

/// Writes a warning to standard error, also with `--quiet`.
pub fn warn(text: &str) {
    message(&format!("warning: {text}"));
}

/// Writes lines to standard error. A closed standard error is ignored.
pub fn message(text: &str) {
    if !SILENT.load(Ordering::Relaxed) {
        alarm(text);
    }
}

/// Writes lines to standard error, in every process of a job.
pub fn alarm(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", visible(text));
}

/// Text that is written to standard output symbol by symbol.
#[derive(Debug)]
pub struct SymbolOutput {
    /// Present if standard output is a terminal.
    visible: Option<Visible>,
}

impl SymbolOutput {
    /// Creates the output for standard output.
    pub fn to_stdout() -> Self {
        Self::new(io::stdout().is_terminal())
    }

    fn new(to_terminal: bool) -> Self {
        Self { visible: to_terminal.then(Visible::default) }
    }

    /// Writes the bytes of some symbols and flushes them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        write_bytes(&self.shown(bytes))
    }

    /// Writes the rest.
    pub fn finish(mut self) -> Result<(), Failure> {
        write_bytes(&self.rest())
    }

    fn shown(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.visible.as_mut().map_or_else(|| bytes.to_vec(), |visible| visible.push(bytes).into_bytes())
    }

    fn rest(&mut self) -> Vec<u8> {
        self.visible.as_mut().map_or_else(Vec::new, |visible| visible.finish().into_bytes())
    }
}

fn write_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Returns the text as one word of a shell.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_gets_escapes() {
        let text = |terminal| {
            let mut out = SymbolOutput::new(terminal);
            let mut bytes: Vec<u8> =
                [&b"\x1b[31m"[..], b"\xc3", b"\xa9\r"].iter().flat_map(|s| out.shown(s)).collect();
            bytes.extend(out.rest());
            bytes
        };
        assert_eq!(text(false), b"\x1b[31m\xc3\xa9\r");
        assert_eq!(text(true), b"\\u{1b}[31m\xc3\xa9\\r");
    }

    #[test]
    fn a_quoted_text_is_one_word_of_a_shell() {
        assert_eq!(quoted("runs/1"), "runs/1");
        assert_eq!(quoted("my runs/it's"), "'my runs/it'\\''s'");
    }
}
