//! Replacing a file as a whole.

use crate::cli::failure::Failure;
use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};
use unrolled::Error;

/// Prefix of the names of files that are being written.
pub(super) const TEMPORARY: &str = ".unrolled-";

/// Writes a temporary file beside `path`, syncs it and renames it: neither a reader nor a crash
/// sees half a file.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_and_rename(path, bytes, File::sync_all)
}

/// Does the same without the sync: the new content may be lost when the machine goes down.
pub(super) fn replace_unsynced(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_and_rename(path, bytes, |_| Ok(()))
}

/// Returns an error if the file of `--out` exists and `--replace` is not given.
pub fn check_absent(out: &Path, replace: bool) -> Result<(), Failure> {
    match out.exists() && !replace {
        true => Err(Failure::Usage(format!(
            "--out {} exists already; name another file, or add --replace",
            out.display()
        ))),
        false => Ok(()),
    }
}

fn write_and_rename(
    path: &Path,
    bytes: &[u8],
    sync: impl FnOnce(&File) -> io::Result<()>,
) -> Result<(), Failure> {
    let folder = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY).suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666)); // less the umask, like any other file
    }
    let written = builder.tempfile_in(folder).and_then(|mut file| {
        file.write_all(bytes)?;
        sync(file.as_file())?;
        file.persist(path).map_err(|error| error.error)
    });
    written.map(|_: File| ()).map_err(|source| io_error("write", path)(without_path(source)).into())
}

/// Returns the system's message without the name of the temporary file, which users do not know.
fn without_path(error: io::Error) -> io::Error {
    match error.to_string().split_once(" at path ") {
        Some((message, _)) => io::Error::new(error.kind(), message.to_owned()),
        None => error,
    }
}

/// Returns a conversion of I/O errors that names the action and the path.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}
