//! The files of a corpus in a folder.

use super::{CorpusOptions, file_list::FileList, recognize::FileRules};
use crate::{Error, Result};
use std::path::Path;

#[cfg(feature = "folders")]
pub(super) use walk::add;

/// Adds the files of a folder.
#[cfg(not(feature = "folders"))]
pub(super) fn add(_: &mut FileList, folder: &Path, _: &CorpusOptions, _: &FileRules) -> Result<()> {
    let (text, found) = (folder.display().to_string(), "a folder".to_owned());
    Err(Error::Feature { text, found, feature: "folders" })
}

#[cfg(feature = "folders")]
mod walk {
    use super::*;
    use crate::{Unit, corpus::recognize::HEAD};
    use ignore::{
        WalkBuilder,
        gitignore::{Gitignore, GitignoreBuilder},
    };
    use std::{
        fs::{self, File},
        io::{self, Read},
        path::PathBuf,
    };

    /// Adds the files of a folder, sorted by path.
    pub fn add(list: &mut FileList, folder: &Path, options: &CorpusOptions, rules: &FileRules) -> Result<()> {
        check_ids(folder, options, rules)?;
        let before = list.files.len();
        let [include, exclude] = [("include", &options.include), ("exclude", &options.exclude)]
            .map(|(name, globs)| matcher(name, globs, folder));
        let (include, exclude) = (include?, exclude?);
        let mut paths = paths(folder, options.no_ignore)?;
        paths.retain(|path| {
            let matches = |globs: &Gitignore| globs.matched_path_or_any_parents(path, false).is_ignore();
            (include.is_empty() || matches(&include)) && !matches(&exclude)
        });
        paths.sort();
        for path in paths {
            add_file(list, path, rules, !include.is_empty())?;
        }
        match list.files.len() == before {
            true => Err(no_text(folder, options)),
            false => Ok(()),
        }
    }

    /// The bytes of a file do not tell whether it holds ids, so the user must say which files do.
    fn check_ids(folder: &Path, options: &CorpusOptions, rules: &FileRules) -> Result<()> {
        if rules.unit != Unit::Ids || !options.include.is_empty() {
            return Ok(());
        }
        let expected = "with unit = ids a folder needs include, such as *.bin; pass it, or name the files";
        Err(Error::setting("corpus", folder.display(), expected))
    }

    /// Adds a file, if it is a part of the corpus.
    fn add_file(list: &mut FileList, path: PathBuf, rules: &FileRules, included: bool) -> Result<()> {
        let failed = |source| Error::unreadable(&path, source);
        let file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut start = Vec::new();
        file.take(HEAD as u64).read_to_end(&mut start).map_err(failed)?;
        match start.as_slice() {
            [] => list.skipped.empty += 1,
            head if rules.takes(head, included) => list.files.push((path, length)),
            _ => list.skipped.binary += 1,
        }
        Ok(())
    }

    /// All files in a folder and its subfolders, except hidden files and, unless `all` is set,
    /// files that a `.gitignore` or `.ignore` names. Links to files are followed. Links to folders
    /// are not, because they could form a circle. Folders of training runs are skipped: a corpus
    /// with the files of its own run would change during training.
    fn paths(folder: &Path, all: bool) -> Result<Vec<PathBuf>> {
        let mut walker = WalkBuilder::new(folder);
        walker.standard_filters(false).hidden(true).git_ignore(!all).ignore(!all).require_git(false);
        walker.filter_entry(|entry| {
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            entry.depth() == 0 || !is_folder || !is_run(entry.path())
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
                ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
                    inner = err;
                }
                _ => break,
            }
        }
        let path = path.to_owned();
        let message = error.to_string();
        Error::unreadable(path, error.into_io_error().unwrap_or_else(|| io::Error::other(message)))
    }

    /// A matcher of patterns in the syntax of a `.gitignore`.
    fn matcher(name: &'static str, globs: &[String], folder: &Path) -> Result<Gitignore> {
        let mut builder = GitignoreBuilder::new(folder);
        for glob in globs {
            let wrong = |reason: String| {
                let expected =
                    format!("{reason}; give a pattern as in a .gitignore, such as *.txt or src/**/*.c");
                Error::setting(name, format!("{glob:?}"), expected)
            };
            if glob.trim().is_empty() || glob.starts_with(['!', '#']) {
                return Err(wrong("it is empty, or starts with ! or #".into()));
            }
            builder.add_line(None, glob).map_err(|error| wrong(error.to_string()))?;
        }
        let built = builder.build();
        built.map_err(|error| Error::setting(name, globs.join(", "), error.to_string()))
    }

    fn no_text(folder: &Path, options: &CorpusOptions) -> Error {
        let filters = [("include", &options.include), ("exclude", &options.exclude)];
        let given = filters.iter().filter(|(_, globs)| !globs.is_empty());
        let given: Vec<_> = given.map(|(name, globs)| format!("{name} {}", globs.join(", "))).collect();
        let filters = match given.is_empty() {
            true => String::new(),
            false => format!(", or filtered out by {}", given.join(" and ")),
        };
        Error::NoText { path: folder.into(), filters }
    }

    /// Returns whether a folder holds a training run, even one without a checkpoint.
    fn is_run(folder: &Path) -> bool {
        let has = |name: &str| folder.join(name).is_file();
        has("config.toml") && (has("checkpoint.safetensors") || has(".lock"))
    }
}
