//! The lock of a run folder: one process at a time writes it.

use super::io_error;
use crate::cli::failure::Failure;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

const LOCK: &str = ".lock";
/// Attempts to take the lock, and the pause between them: a process that looks up the holder holds
/// the lock for a moment.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// A locked folder. The lock ends when this is dropped, and always when the process ends.
#[derive(Debug)]
pub struct Lock {
    /// Holds the lock. Only Unix can compare it with the file in the folder.
    #[cfg_attr(not(unix), expect(dead_code))]
    file: File,
    anchor: Anchor,
}

/// A path that leads to the same folder after a rename. A write by the folder's name could end up
/// in another folder that has taken the name since the lock was checked.
#[derive(Debug)]
struct Anchor {
    path: PathBuf,
    /// Keeps the path valid.
    _folder: Option<File>,
}

impl Anchor {
    #[cfg(target_os = "linux")]
    fn of(folder: &Path) -> Self {
        use std::os::fd::AsRawFd;
        let opened = File::open(folder).ok();
        let path = opened.as_ref().map(|file| PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())));
        match path.filter(|path| path.is_dir()) {
            Some(path) => Self { path, _folder: opened },
            None => Self { path: folder.to_owned(), _folder: None },
        }
    }

    /// Uses the folder's name: other systems have no such path.
    #[cfg(not(target_os = "linux"))]
    fn of(folder: &Path) -> Self {
        Self { path: folder.to_owned(), _folder: None }
    }
}

impl Lock {
    /// Locks the folder, which must exist.
    pub fn take(folder: &Path) -> Result<Self, Failure> {
        let (path, anchor) = (folder.join(LOCK), Anchor::of(folder));
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(anchor.path.join(LOCK));
        let mut file = opened.map_err(io_error("create", &path))?;
        let mut locked = file.try_lock();
        for _ in 1..ATTEMPTS {
            if matches!(locked, Err(TryLockError::WouldBlock)) {
                thread::sleep(PAUSE);
                locked = file.try_lock();
            }
        }
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder is only for the message.
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim().to_owned();
                return Err(Failure::Busy { folder: folder.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source).into()),
        }
        let _ = file.set_len(0).and_then(|()| file.rewind());
        let _ = writeln!(file, "process {}", std::process::id());
        Ok(Self { file, anchor })
    }

    /// Returns the process that holds the folder, as "process 123".
    pub fn holder(folder: &Path) -> Option<String> {
        let mut file = File::open(folder.join(LOCK)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).ok()?;
                Some(holder.trim().to_owned())
            }
            _ => None,
        }
    }

    /// Returns a path to the locked folder, even if its name now belongs to another folder.
    pub fn path(&self) -> &Path {
        &self.anchor.path
    }

    /// Returns whether `folder` is still the locked one; `None` if it has no lock file, because the
    /// folder or the file was deleted.
    pub fn holds(&self, folder: &Path) -> Option<bool> {
        let there = fs::metadata(folder.join(LOCK)).ok()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let same = |held: fs::Metadata| (held.dev(), held.ino()) == (there.dev(), there.ino());
            Some(self.file.metadata().is_ok_and(same))
        }
        #[cfg(not(unix))]
        Some(there.is_file()) // an open file cannot be replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_at_a_time() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let first = Lock::take(home.path()).expect("free");
        let error_text = Lock::take(home.path()).expect_err("held").to_string();
        let holder = format!("is in use by process {}: ", std::process::id());
        assert!(
            error_text.contains(&holder) && error_text.ends_with("or choose another --out"),
            "{error_text}"
        );
        assert_eq!(Lock::holder(home.path()), Some(format!("process {}", std::process::id())));
        assert_eq!(first.holds(home.path()), Some(true));
        fs::remove_file(home.path().join(LOCK)).expect("removed");
        assert_eq!(first.holds(home.path()), None);
        let second = Lock::take(home.path()).expect("another file");
        assert_eq!((first.holds(home.path()), second.holds(home.path())), (Some(false), Some(true)));
        drop((first, second));
        assert_eq!(Lock::holder(home.path()), None);
        Lock::take(home.path()).expect("free again");
    }

    /// Another folder may take the name of the locked one between the check of the lock and a
    /// write.
    #[cfg(target_os = "linux")]
    #[test]
    fn files_go_to_the_locked_folder() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let [here, moved] = ["here", "moved"].map(|name| home.path().join(name));
        let folder = super::super::RunFolder::create(Some(&here), "first").expect("a folder");
        fs::rename(&here, &moved).expect("moved");
        fs::create_dir(&here).expect("another folder");
        folder.write_config("second").expect("written");
        let mut lines = super::super::LinesWriter::named(super::super::METRICS);
        lines.write(folder.held(), 1, |_| "a line".to_owned()).expect("written");
        assert_eq!(fs::read_dir(&here).expect("a folder").count(), 0);
        assert_eq!(fs::read_to_string(moved.join("config.toml")).expect("there"), "second");
        assert_eq!(fs::read_to_string(moved.join("metrics.jsonl")).expect("there"), "a line\n");
        fs::remove_dir_all(&moved).expect("removed");
        let error_text = folder.write_config("third").expect_err("it is gone").to_string();
        let named = format!("cannot write {}: ", here.join("config.toml").display());
        assert!(error_text.starts_with(&named) && !error_text.contains("/proc"), "{error_text}");
    }
}
