//! Files of one JSON object a line, which grow by appending.

use super::{failed, replace};
use crate::cli::failure::Failure;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
};

/// A file whose length is known: when it is another than that, someone or something was at it, and it is written anew.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    /// Lines and bytes that were written; `None` before the first time.
    written: Option<(usize, u64)>,
}

impl Lines {
    /// Of a file that need not exist.
    pub fn at(path: PathBuf) -> Self {
        Self { path, written: None }
    }

    /// Brings the file to `count` lines, of which `line` gives each: by appending the last where all others are there, or
    /// else as a whole.
    pub fn write(&mut self, count: usize, line: impl Fn(usize) -> String) -> Result<(), Failure> {
        let found = fs::metadata(&self.path).map(|metadata| metadata.len()).ok();
        if count == 0 && found.is_none() {
            self.written = Some((0, 0));
        }
        let intact = self.written.filter(|(_, length)| *length == found.unwrap_or(0));
        let length = match intact {
            Some((lines, length)) if lines == count => length,
            Some((lines, length)) if lines + 1 == count => length + self.append(&line(lines))?,
            _ => {
                let text: String = (0..count).map(|at| line(at) + "\n").collect();
                replace(&self.path, text.as_bytes())?;
                text.len() as u64
            }
        };
        self.written = Some((count, length));
        Ok(())
    }

    /// Returns the bytes written.
    fn append(&self, line: &str) -> Result<u64, Failure> {
        let opened = OpenOptions::new().append(true).create(true).open(&self.path);
        let mut file = opened.map_err(failed("write", &self.path))?;
        // One write, so that a reader never sees half a line.
        file.write_all(format!("{line}\n").as_bytes()).map_err(failed("write", &self.path))?;
        Ok(line.len() as u64 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: usize) -> String {
        format!("line {n}")
    }

    #[test]
    fn what_was_lost_or_added_meanwhile_is_mended() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let path = home.path().join("lines");
        let mut file = Lines::at(path.clone());
        let holds = |count: usize| {
            let text: String = (0..count).map(|n| line(n) + "\n").collect();
            assert_eq!(fs::read_to_string(&path).expect("readable"), text);
        };
        fs::write(&path, "from a longer run\n").expect("written");
        file.write(0, line).expect("written");
        holds(0);
        for count in 1..4 {
            file.write(count, line).expect("written");
            holds(count);
        }
        fs::write(&path, "half a li").expect("written");
        file.write(4, line).expect("written");
        holds(4);
        fs::remove_file(&path).expect("removed");
        file.write(5, line).expect("written");
        holds(5);
        file.write(5, line).expect("written");
        holds(5);
    }
}
