//! Reading a file of JSON lines while another process writes it.

use super::io_error;
use crate::cli::failure::Failure;
use serde::de::DeserializeOwned;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
};

/// The lines of a file so far. A refresh reads what was appended, or the whole file if it was
/// replaced.
#[derive(Debug)]
pub struct LinesReader<T> {
    path: PathBuf,
    /// The parsed lines.
    pub items: Vec<T>,
    /// Number of bytes of complete lines read, and the identity of the file.
    read: u64,
    id: u64,
}

impl<T: DeserializeOwned> LinesReader<T> {
    /// Creates a reader; the file need not exist yet.
    pub fn at(path: PathBuf) -> Self {
        Self { path, items: Vec::new(), read: 0, id: 0 }
    }

    /// Reads the new lines. An incomplete line waits for the next refresh; a missing file has no
    /// lines.
    ///
    /// # Errors
    /// A file that cannot be read, or an invalid line.
    pub fn refresh(&mut self) -> Result<(), Failure> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (self.items, self.read) = (Vec::new(), 0);
                return Ok(());
            }
            Err(error) => return Err(io_error("read", &self.path)(error).into()),
        };
        let text = self.new_lines(&mut file).map_err(io_error("read", &self.path))?;
        let before = self.items.len();
        let item =
            |(at, line)| serde_json::from_str(line).map_err(|error| self.invalid(before + at + 1, &error));
        let items: Result<Vec<T>, _> = text.lines().enumerate().map(item).collect();
        // All or none: the lines before an invalid one are read again with it.
        self.items.extend(items?);
        self.read += text.len() as u64;
        Ok(())
    }

    fn new_lines(&mut self, file: &mut File) -> io::Result<String> {
        let (length, id) = (file.metadata()?.len(), identity(file)?);
        if length < self.read || id != self.id {
            (self.items, self.read, self.id) = (Vec::new(), 0, id);
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.take(length - self.read).read_to_end(&mut bytes)?;
        // An incomplete line may end within a character.
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        String::from_utf8(bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
    }

    fn invalid(&self, number: usize, error: &serde_json::Error) -> Failure {
        let problem =
            format!("line {number} is invalid ({error}); `unrolled train --resume` repairs the file");
        Failure::NoRun { path: self.path.clone(), problem }
    }
}

/// Returns a number that tells a file from its replacement.
#[cfg(unix)]
fn identity(file: &File) -> io::Result<u64> {
    Ok(std::os::unix::fs::MetadataExt::ino(&file.metadata()?))
}

#[cfg(not(unix))]
fn identity(_file: &File) -> io::Result<u64> {
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Write};

    #[test]
    fn complete_lines_are_read_once() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let path = home.path().join("lines");
        let mut tail: LinesReader<u32> = LinesReader::at(path.clone());
        let mut holds = |expected: &[u32]| {
            tail.refresh().expect("readable");
            assert_eq!(tail.items, expected);
        };
        holds(&[]);
        fs::write(&path, "1\n2\n3").expect("written");
        holds(&[1, 2]);
        let mut file = fs::OpenOptions::new().append(true).open(&path).expect("there");
        file.write_all(b"4\n5\n").expect("written");
        holds(&[1, 2, 34, 5]);
        // Cut, replaced by a longer one, and gone.
        fs::write(&path, "7\n").expect("written");
        holds(&[7]);
        fs::write(home.path().join("new"), "8\n9\n10\n").expect("written");
        fs::rename(home.path().join("new"), &path).expect("renamed");
        holds(&[8, 9, 10]);
        fs::remove_file(&path).expect("removed");
        holds(&[]);
    }

    #[test]
    fn an_error_names_the_invalid_line() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let path = home.path().join("lines");
        fs::write(&path, "1\n2\nx\n").expect("written");
        let mut tail: LinesReader<u32> = LinesReader::at(path.clone());
        // At each refresh.
        for _ in 0..3 {
            let message = tail.refresh().expect_err("invalid").to_string();
            assert!(
                message.contains("lines: line 3 is invalid ") && message.contains("--resume"),
                "{message}"
            );
        }
        fs::write(&path, "1\n2\n3\n").expect("written");
        tail.refresh().expect("repaired");
        assert_eq!(tail.items, [1, 2, 3]);
    }

    #[test]
    fn a_line_that_ends_within_a_character_waits() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let path = home.path().join("lines");
        let line = "\"\u{e9}\"\n".as_bytes();
        fs::write(&path, [line, &line[..2]].concat()).expect("written");
        let mut tail: LinesReader<String> = LinesReader::at(path.clone());
        tail.refresh().expect("readable");
        assert_eq!(tail.items, ["\u{e9}"]);
        fs::write(&path, [line, line].concat()).expect("written");
        tail.refresh().expect("readable");
        assert_eq!(tail.items, ["\u{e9}", "\u{e9}"]);
    }
}
