//! The files of a corpus: the named ones, and those in named folders.

use super::{
    CorpusOptions, SkippedFiles,
    file_list::{FileList, most_maps},
    folders,
    intake::Intake,
    recognize::FileRules,
    source::CorpusSource,
    spool::in_memory,
    standard_input::is_standard_input,
};
use crate::{Error, Result};
use std::{fs, path::PathBuf};

/// Opens the named files, and the files of the corpus in the named folders, in that order.
pub(super) fn open(
    paths: &[PathBuf],
    options: &CorpusOptions,
    rules: FileRules,
) -> Result<(Vec<CorpusSource>, SkippedFiles)> {
    let mut list = FileList::default();
    for path in paths {
        if is_standard_input(path) {
            list.files.push((path.clone(), 0));
            continue;
        }
        match fs::metadata(path).map_err(|source| Error::unreadable(path, source))? {
            folder if folder.is_dir() => folders::add(&mut list, path, options, &rules)?,
            file => list.files.push((path.clone(), file.len())),
        }
    }
    let mapped = list.mapped(most_maps());
    let mut intake = Intake::new(rules, options.memory.unwrap_or_else(in_memory));
    let files = list.files.iter().zip(mapped);
    let mut sources =
        files.map(|((path, _), mapped)| intake.open(path, mapped)).collect::<Result<Vec<_>>>()?;
    intake.finish(&mut sources)?;
    Ok((sources, list.skipped))
}

/// The name of a corpus of `files` files, opened at these paths, in messages.
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
