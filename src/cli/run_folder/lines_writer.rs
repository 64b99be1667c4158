//! Files that grow by appending, most of them one JSON object a line.

use super::{failed, replace};
use crate::cli::failure::Failure;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

/// A file whose length is known: when it is another than that, someone or something was at it.
#[derive(Debug)]
pub struct AppendedFile {
    path: PathBuf,
    /// Bytes that were written; `None` before the first time.
    length: Option<u64>,
}

impl AppendedFile {
    /// Of a file that need not exist.
    pub fn at(path: PathBuf) -> Self {
        Self { path, length: None }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Goes on in another folder, in a file of the same name.
    pub fn move_to(&mut self, folder: &Path) {
        self.path = self.path.file_name().map_or(folder.to_owned(), |name| folder.join(name));
    }

    /// Whether the file is as it was left.
    pub fn is_intact(&self) -> bool {
        self.length.is_some_and(|length| length == self.found().unwrap_or(0))
    }

    fn found(&self) -> Option<u64> {
        fs::metadata(&self.path).map(|metadata| metadata.len()).ok()
    }

    /// Adds to the end, in one write, so that a reader never sees a part of it.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let opened = OpenOptions::new().append(true).create(true).open(&self.path);
        let mut file = opened.map_err(failed("write", &self.path))?;
        file.write_all(bytes).map_err(failed("write", &self.path))?;
        self.length = Some(self.length.unwrap_or(0) + bytes.len() as u64);
        Ok(())
    }

    /// Writes the file anew.
    pub fn replace(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        replace(&self.path, bytes)?;
        self.length = Some(bytes.len() as u64);
        Ok(())
    }
}

/// A file of lines.
#[derive(Debug)]
pub struct LinesWriter {
    file: AppendedFile,
    /// LinesWriter that were written.
    count: usize,
}

impl LinesWriter {
    /// Of a file of this name, which need not exist.
    pub fn named(name: &str) -> Self {
        Self { file: AppendedFile::at(name.into()), count: 0 }
    }

    /// Brings the file in `folder` to `count` lines, of which `line` gives each: by appending the last where all others are
    /// there, or else as a whole.
    pub fn write(
        &mut self,
        folder: &Path,
        count: usize,
        line: impl Fn(usize) -> String,
    ) -> Result<(), Failure> {
        self.file.move_to(folder);
        if count == 0 && self.file.found().is_none() {
            self.file.length = Some(0);
        }
        match self.file.is_intact() {
            true if self.count == count => {}
            true if self.count + 1 == count => {
                self.file.append(format!("{}\n", line(self.count)).as_bytes())?
            }
            _ => {
                let text: String = (0..count).map(|at| line(at) + "\n").collect();
                self.file.replace(text.as_bytes())?;
            }
        }
        self.count = count;
        Ok(())
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
        let mut file = LinesWriter::named("lines");
        let holds = |count: usize| {
            let text: String = (0..count).map(|n| line(n) + "\n").collect();
            assert_eq!(fs::read_to_string(&path).expect("readable"), text);
        };
        fs::write(&path, "from a longer run\n").expect("written");
        file.write(home.path(), 0, line).expect("written");
        holds(0);
        for count in 1..4 {
            file.write(home.path(), count, line).expect("written");
            holds(count);
        }
        fs::write(&path, "half a li").expect("written");
        file.write(home.path(), 4, line).expect("written");
        holds(4);
        fs::remove_file(&path).expect("removed");
        file.write(home.path(), 5, line).expect("written");
        holds(5);
        file.write(home.path(), 5, line).expect("written");
        holds(5);
    }
}
