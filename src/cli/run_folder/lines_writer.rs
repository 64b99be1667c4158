//! Writing files that grow by appending, most of them one JSON object a line.

use super::{io_error, replace};
use crate::cli::failure::Failure;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

/// A file that grows by appending. If its length is not the length written so far, something else
/// has changed it.
#[derive(Debug)]
pub struct AppendedFile {
    path: PathBuf,
    /// Number of bytes written; `None` before the first write.
    length: Option<u64>,
}

impl AppendedFile {
    /// Creates a writer; the file need not exist.
    pub fn at(path: PathBuf) -> Self {
        Self { path, length: None }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Continues with a file of the same name in another folder.
    pub fn move_to(&mut self, folder: &Path) {
        self.path = self.path.file_name().map_or(folder.to_owned(), |name| folder.join(name));
    }

    /// Returns whether the file is as this writer left it.
    pub fn is_intact(&self) -> bool {
        self.length.is_some_and(|length| length == self.length_on_disk().unwrap_or(0))
    }

    fn length_on_disk(&self) -> Option<u64> {
        fs::metadata(&self.path).map(|metadata| metadata.len()).ok()
    }

    /// Appends the bytes in one write, so that a reader never sees a part of them.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let opened = OpenOptions::new().append(true).create(true).open(&self.path);
        let mut file = opened.map_err(io_error("write", &self.path))?;
        file.write_all(bytes).map_err(io_error("write", &self.path))?;
        self.length = Some(self.length.unwrap_or(0) + bytes.len() as u64);
        Ok(())
    }

    /// Replaces the whole file.
    pub fn replace(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        replace(&self.path, bytes)?;
        self.length = Some(bytes.len() as u64);
        Ok(())
    }
}

/// A file of lines that grows by appending.
#[derive(Debug)]
pub struct LinesWriter {
    file: AppendedFile,
    /// Number of lines written.
    count: usize,
}

impl LinesWriter {
    /// Creates a writer for a file of this name, which need not exist.
    pub fn named(name: &str) -> Self {
        Self { file: AppendedFile::at(name.into()), count: 0 }
    }

    /// Updates the file in `folder` to `count` lines; `line` returns each. Appends the last line if
    /// the others are there, and otherwise replaces the file.
    pub fn write(
        &mut self,
        folder: &Path,
        count: usize,
        line: impl Fn(usize) -> String,
    ) -> Result<(), Failure> {
        self.file.move_to(folder);
        if count == 0 && self.file.length_on_disk().is_none() {
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
    fn a_file_that_something_else_changed_is_replaced() {
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
