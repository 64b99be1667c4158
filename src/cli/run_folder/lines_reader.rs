//! A file of JSON lines while another process writes it.

use super::failed;
use crate::cli::failure::Failure;
use serde::de::DeserializeOwned;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
};

/// The lines so far. Only what was added is read again, unless the file is another one by now.
#[derive(Debug)]
pub struct LinesReader<T> {
    path: PathBuf,
    /// What the lines say.
    pub items: Vec<T>,
    /// Bytes of whole lines that were read, and of which file.
    read: u64,
    id: u64,
}

impl<T: DeserializeOwned> LinesReader<T> {
    /// Of a file that need not exist yet.
    pub fn at(path: PathBuf) -> Self {
        Self { path, items: Vec::new(), read: 0, id: 0 }
    }

    /// Reads what is new. A line that is not whole yet waits for the next time; a file that is not there has no lines.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that is not what it should be.
    pub fn refresh(&mut self) -> Result<(), Failure> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (self.items, self.read) = (Vec::new(), 0);
                return Ok(());
            }
            Err(error) => return Err(failed("read", &self.path)(error).into()),
        };
        let text = self.new_lines(&mut file).map_err(failed("read", &self.path))?;
        let before = self.items.len();
        let item = |(at, line)| serde_json::from_str(line).map_err(|error| self.odd(before + at + 1, &error));
        let items: Result<Vec<T>, _> = text.lines().enumerate().map(item).collect();
        // All or none: those before an odd line are read again with it.
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
        // What is not whole yet may end within a character.
        bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        String::from_utf8(bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
    }

    fn odd(&self, number: usize, error: &serde_json::Error) -> Failure {
        let problem = format!("line {number} is not what a run writes ({error}): `train --resume` mends it");
        Failure::NoRun { path: self.path.clone(), problem }
    }
}

/// Tells a file from the one that replaces it.
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
    fn lines_are_read_once_and_whole() {
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
    fn an_odd_line_is_named() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let path = home.path().join("lines");
        fs::write(&path, "1\n2\nx\n").expect("written");
        let mut tail: LinesReader<u32> = LinesReader::at(path.clone());
        // However often it is looked at.
        for _ in 0..3 {
            let told = tail.refresh().expect_err("odd").to_string();
            assert!(told.contains("lines: line 3 is not ") && told.contains("--resume"), "{told}");
        }
        fs::write(&path, "1\n2\n3\n").expect("written");
        tail.refresh().expect("mended");
        assert_eq!(tail.items, [1, 2, 3]);
    }

    #[test]
    fn half_a_character_waits_for_its_other_half() {
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
