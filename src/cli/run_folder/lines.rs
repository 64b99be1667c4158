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
    /// Bytes that were written; `None` before the first time.
    length: Option<u64>,
}

impl Lines {
    /// Of a file that need not exist.
    pub fn at(path: PathBuf) -> Self {
        Self { path, length: None }
    }

    /// Brings the file to these lines: by appending the last one where all others are there, or else as a whole.
    pub fn write(&mut self, lines: &[String]) -> Result<(), Failure> {
        let length: usize = lines.iter().map(|line| line.len() + 1).sum();
        let last = lines.last().map_or(0, |line| line.len() + 1);
        let found = fs::metadata(&self.path).map(|metadata| metadata.len()).ok();
        let before = (length - last) as u64;
        let nothing = lines.is_empty() && found.is_none();
        if nothing || (found == Some(length as u64) && self.length == found) {
            self.length = Some(length as u64);
            return Ok(());
        }
        if last > 0
            && self.length == Some(before)
            && found.unwrap_or(0) == before
            && (found.is_some() || before == 0)
        {
            self.append(&lines[lines.len() - 1])?;
        } else {
            let text: String = lines.iter().map(|line| line.clone() + "\n").collect();
            replace(&self.path, text.as_bytes())?;
        }
        self.length = Some(length as u64);
        Ok(())
    }

    fn append(&self, line: &str) -> Result<(), Failure> {
        let opened = OpenOptions::new().append(true).create(true).open(&self.path);
        let mut file = opened.map_err(failed("write", &self.path))?;
        // One write, so that a reader never sees half a line.
        file.write_all(format!("{line}\n").as_bytes()).map_err(failed("write", &self.path))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("line {n}")).collect()
    }

    #[test]
    fn what_was_lost_or_added_meanwhile_is_mended() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let path = home.path().join("lines");
        let mut file = Lines::at(path.clone());
        let holds = |count: usize| {
            let text: String = lines(count).iter().map(|line| line.clone() + "\n").collect();
            assert_eq!(fs::read_to_string(&path).expect("readable"), text);
        };
        fs::write(&path, "from a longer run\n").expect("written");
        file.write(&lines(0)).expect("written");
        holds(0);
        for count in 1..4 {
            file.write(&lines(count)).expect("written");
            holds(count);
        }
        fs::write(&path, "half a li").expect("written");
        file.write(&lines(4)).expect("written");
        holds(4);
        fs::remove_file(&path).expect("removed");
        file.write(&lines(5)).expect("written");
        holds(5);
        file.write(&lines(5)).expect("written");
        holds(5);
    }
}
