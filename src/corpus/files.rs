//! Which files make a text: those named, and below folders those that hold text.

use super::{
    Options, Skipped,
    intake::{Intake, is_standard_input},
    recognise::{HEAD, How},
    source::{Source, unreadable},
    spool::in_memory,
};
use crate::{Error, Result};
use ignore::{
    WalkBuilder,
    gitignore::{Gitignore, GitignoreBuilder},
};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The files named, and the text files below the folders named, in that order.
pub(super) fn open(paths: &[PathBuf], options: &Options, how: How) -> Result<(Vec<Source>, Skipped)> {
    let mut found = Found::default();
    for path in paths {
        if is_standard_input(path) {
            found.files.push((path.clone(), 0));
            continue;
        }
        match fs::metadata(path).map_err(|source| unreadable(path, source))? {
            folder if folder.is_dir() => found.add_folder(path, options, &how)?,
            file => found.files.push((path.clone(), file.len())),
        }
    }
    let mapped = found.mapped(most_maps());
    let mut intake = Intake::new(how, options.memory.unwrap_or_else(in_memory));
    let files = found.files.iter().zip(mapped);
    let mut sources =
        files.map(|((path, _), mapped)| intake.open(path, mapped)).collect::<Result<Vec<_>>>()?;
    intake.settle(&mut sources)?;
    Ok((sources, found.skipped))
}

/// Files with their lengths, and what was passed over.
#[derive(Default)]
struct Found {
    files: Vec<(PathBuf, u64)>,
    skipped: Skipped,
}

impl Found {
    /// Text files below a folder, sorted by path.
    fn add_folder(&mut self, folder: &Path, options: &Options, how: &How) -> Result<()> {
        let before = self.files.len();
        let [include, exclude] = [("include", &options.include), ("exclude", &options.exclude)]
            .map(|(name, globs)| matcher(name, globs, folder));
        let (include, exclude) = (include?, exclude?);
        let mut paths = walk(folder, options.no_ignore)?;
        paths.retain(|path| {
            let chosen = |globs: &Gitignore| globs.matched_path_or_any_parents(path, false).is_ignore();
            (include.is_empty() || chosen(&include)) && !chosen(&exclude)
        });
        paths.sort();
        for path in paths {
            self.add_file(path, how, !include.is_empty())?;
        }
        match self.files.len() == before {
            true => Err(nothing(folder, options)),
            false => Ok(()),
        }
    }

    /// A file below a folder, if it holds text.
    fn add_file(&mut self, path: PathBuf, how: &How, included: bool) -> Result<()> {
        let failed = |source| unreadable(&path, source);
        let file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut start = Vec::new();
        file.take(HEAD as u64).read_to_end(&mut start).map_err(failed)?;
        match start.as_slice() {
            [] => self.skipped.empty += 1,
            head if how.takes(head, included) => self.files.push((path, length)),
            _ => self.skipped.binary += 1,
        }
        Ok(())
    }

    /// Which files to map when there may be `most` maps: the longest. The others are read.
    fn mapped(&self, most: usize) -> Vec<bool> {
        let mut longest: Vec<usize> = (0..self.files.len()).collect();
        longest.sort_by_key(|&at| std::cmp::Reverse(self.files[at].1));
        let mut mapped = vec![false; self.files.len()];
        longest.into_iter().take(most).for_each(|at| mapped[at] = true);
        mapped
    }
}

/// All files below a folder but those that are hidden, or that a `.gitignore` or `.ignore` names, unless `all` are wanted. Links to files are followed, links
/// to folders are not: they could lead in circles. The folders of runs are left out: a text that held its own run's
/// files would change as it trains.
fn walk(folder: &Path, all: bool) -> Result<Vec<PathBuf>> {
    let mut walker = WalkBuilder::new(folder);
    walker.standard_filters(false).hidden(true).git_ignore(!all).ignore(!all).require_git(false);
    walker.filter_entry(|entry| {
        entry.depth() == 0 || !entry.file_type().is_some_and(|kind| kind.is_dir()) || !is_run(entry.path())
    });
    let mut files = Vec::new();
    for entry in walker.build() {
        let entry = entry.map_err(|error| unwalkable(folder, error))?;
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        if !is_folder && fs::metadata(entry.path()).is_ok_and(|target| target.is_file()) {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

fn unwalkable(folder: &Path, error: ignore::Error) -> Error {
    let mut path = folder;
    let mut inner = &error;
    loop {
        match inner {
            ignore::Error::WithPath { path: of, err } => (path, inner) = (of, err),
            ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => inner = err,
            _ => break,
        }
    }
    let path = path.to_owned();
    let message = error.to_string();
    unreadable(&path, error.into_io_error().unwrap_or_else(|| io::Error::other(message)))
}

/// Globs as a `.gitignore` has them.
fn matcher(name: &'static str, globs: &[String], folder: &Path) -> Result<Gitignore> {
    let mut builder = GitignoreBuilder::new(folder);
    for glob in globs {
        let wrong = |reason: String| {
            Error::setting(
                name,
                format!("{glob:?}"),
                format!("{reason}; give a pattern as in a .gitignore, such as *.txt or src/**/*.c"),
            )
        };
        if glob.trim().is_empty() || glob.starts_with(['!', '#']) {
            return Err(wrong("it is empty, or starts with ! or #".into()));
        }
        builder.add_line(None, glob).map_err(|error| wrong(error.to_string()))?;
    }
    let built = builder.build();
    built.map_err(|error| Error::setting(name, globs.join(", "), error.to_string()))
}

fn nothing(folder: &Path, options: &Options) -> Error {
    let filters = [("include", &options.include), ("exclude", &options.exclude)];
    let given = filters.iter().filter(|(_, globs)| !globs.is_empty());
    let given: Vec<_> = given.map(|(name, globs)| format!("{name} {}", globs.join(", "))).collect();
    Error::NoText {
        path: folder.into(),
        filters: if given.is_empty() {
            String::new()
        } else {
            format!(", or filtered out by {}", given.join(" and "))
        },
    }
}

/// Whether a folder holds a training run, though it may not have come to its first checkpoint.
fn is_run(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    has("config.toml") && (has("checkpoint.safetensors") || has(".lock"))
}

/// Linux gives a process about 65 000 maps, and allocations need some too: files beyond this number are read.
fn most_maps() -> usize {
    let told = fs::read_to_string("/proc/sys/vm/max_map_count");
    told.ok().and_then(|text| text.trim().parse::<usize>().ok()).map_or(16 << 10, |count| count / 4 * 3)
}

/// What a person would call the files opened at these paths.
pub(super) fn name(paths: &[PathBuf], files: usize) -> String {
    let count = if files == 1 { "1 file".into() } else { format!("{files} files") };
    match paths {
        [] => "the list of files".into(),
        [path] if is_standard_input(path) => "standard input".into(),
        [path] if path.is_dir() => format!("{count} below {}", path.display()),
        [path] => path.display().to_string(),
        _ => count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_files_are_mapped_when_not_all_can_be() {
        let files = [3, 9, 1, 7].map(|length| (PathBuf::new(), length)).to_vec();
        let found = Found { files, ..Found::default() };
        assert_eq!(found.mapped(2), [false, true, false, true]);
        assert_eq!(found.mapped(9), [true; 4]);
        assert!(most_maps() > 1000);
    }
}
