//! One process at a time writes a run folder.

use super::failed;
use crate::cli::failure::Failure;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

const LOCK: &str = ".lock";
/// Whoever asks for the holder holds the lock for a moment: so often, so far apart, is it tried.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// Holds a folder for as long as it lives; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    anchor: Anchor,
}

/// A path that leads to a folder wherever that is moved to. What is written by the folder's name may end up in another
/// folder that takes its place between the look at the lock and the write.
#[derive(Debug)]
struct Anchor {
    path: PathBuf,
    /// What keeps the path true.
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

    /// Other systems have no such path.
    #[cfg(not(target_os = "linux"))]
    fn of(folder: &Path) -> Self {
        Self { path: folder.to_owned(), _folder: None }
    }
}

impl Lock {
    /// Takes the folder, which must exist.
    pub fn take(folder: &Path) -> Result<Self, Failure> {
        let (path, anchor) = (folder.join(LOCK), Anchor::of(folder));
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(anchor.path.join(LOCK));
        let mut file = opened.map_err(failed("create", &path))?;
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
                // Who holds it is for the message alone.
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim().to_owned();
                return Err(Failure::Busy { folder: folder.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source).into()),
        }
        let _ = file.set_len(0).and_then(|()| file.rewind());
        let _ = writeln!(file, "process {}", std::process::id());
        Ok(Self { file, anchor })
    }

    /// "process 123", where one holds the folder.
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

    /// A path to the folder that is held, whatever its name leads to by now.
    pub fn path(&self) -> &Path {
        &self.anchor.path
    }

    /// Whether `folder` is still the one that is held. None when it has no lock at all: the folder or the file in it was
    /// deleted.
    pub fn holds(&self, folder: &Path) -> Option<bool> {
        let there = fs::metadata(folder.join(LOCK)).ok()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let same = |held: fs::Metadata| (held.dev(), held.ino()) == (there.dev(), there.ino());
            Some(self.file.metadata().is_ok_and(same))
        }
        #[cfg(not(unix))]
        Some(there.is_file()) // a file that is open cannot be replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_at_a_time() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let first = Lock::take(home.path()).expect("free");
        let told = Lock::take(home.path()).expect_err("held").to_string();
        let holder = format!("is in use by process {}: ", std::process::id());
        assert!(told.contains(&holder) && told.ends_with("or choose another --out"), "{told}");
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

    /// Another folder may take the name of the one that is held between the look at its lock and a write.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_written_goes_to_the_folder_that_is_held() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let [here, moved] = ["here", "moved"].map(|name| home.path().join(name));
        let folder = super::super::RunFolder::create(Some(&here), "first").expect("a folder");
        fs::rename(&here, &moved).expect("moved");
        fs::create_dir(&here).expect("another folder");
        folder.write_config("second").expect("written");
        folder.metrics().write(folder.held(), 1, |_| "a line".to_owned()).expect("written");
        assert_eq!(fs::read_dir(&here).expect("a folder").count(), 0);
        assert_eq!(fs::read_to_string(moved.join("config.toml")).expect("there"), "second");
        assert_eq!(fs::read_to_string(moved.join("metrics.jsonl")).expect("there"), "a line\n");
        fs::remove_dir_all(&moved).expect("removed");
        let told = folder.write_config("third").expect_err("it is gone").to_string();
        let named = format!("cannot write {}: ", here.join("config.toml").display());
        assert!(told.starts_with(&named) && !told.contains("/proc"), "{told}");
    }
}
