//! The files of a corpus: the named ones, and those in named folders.

use super::{
    CorpusOptions, SkippedFiles, folders, intake::Intake, mapped_file::unreadable, recognize::FileRules,
    source::CorpusSource, spool::in_memory,
};
use crate::Result;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns whether a path means standard input: `-`, `/dev/stdin` and its other names.
pub fn is_standard_input(path: &Path) -> bool {
    ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].iter().any(|name| path == Path::new(name))
}

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
        match fs::metadata(path).map_err(|source| unreadable(path, source))? {
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

/// Files with their lengths, and the number of files that were skipped.
#[derive(Default)]
pub(super) struct FileList {
    pub files: Vec<(PathBuf, u64)>,
    pub skipped: SkippedFiles,
}

impl FileList {
    /// Returns for each file whether to map it, for at most `most` mappings. The longest files are
    /// mapped; the others are read into memory.
    fn mapped(&self, most: usize) -> Vec<bool> {
        let mut longest: Vec<usize> = (0..self.files.len()).collect();
        longest.sort_by_key(|&at| std::cmp::Reverse(self.files[at].1));
        let mut mapped = vec![false; self.files.len()];
        longest.into_iter().take(most).for_each(|at| mapped[at] = true);
        mapped
    }
}

/// The largest number of mappings. Linux allows a process about 65,000, and allocations need some.
fn most_maps() -> usize {
    let limit = fs::read_to_string("/proc/sys/vm/max_map_count");
    limit.ok().and_then(|text| text.trim().parse::<usize>().ok()).map_or(16 << 10, |count| count / 4 * 3)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_files_are_mapped_when_not_all_can_be() {
        let files = [3, 9, 1, 7].map(|length| (PathBuf::new(), length)).to_vec();
        let list = FileList { files, ..FileList::default() };
        assert_eq!(list.mapped(2), [false, true, false, true]);
        assert_eq!(list.mapped(9), [true; 4]);
        assert!(most_maps() > 1000);
    }
}
