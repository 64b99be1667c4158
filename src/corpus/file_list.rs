//! The list of the files of a corpus, and which of them are mapped.

use super::SkippedFiles;
use std::{fs, path::PathBuf};

/// Files with their lengths, and the number of files that were skipped.
#[derive(Default)]
pub(super) struct FileList {
    pub files: Vec<(PathBuf, u64)>,
    pub skipped: SkippedFiles,
}

impl FileList {
    /// Returns for each file whether to map it, for at most `most` mappings. The longest files are
    /// mapped; the others are read into memory.
    pub fn mapped(&self, most: usize) -> Vec<bool> {
        let mut longest: Vec<usize> = (0..self.files.len()).collect();
        longest.sort_by_key(|&at| std::cmp::Reverse(self.files[at].1));
        let mut mapped = vec![false; self.files.len()];
        longest.into_iter().take(most).for_each(|at| mapped[at] = true);
        mapped
    }
}

/// The largest number of mappings. Linux allows a process about 65,000, and allocations need some.
pub(super) fn most_maps() -> usize {
    let limit = fs::read_to_string("/proc/sys/vm/max_map_count");
    limit.ok().and_then(|text| text.trim().parse::<usize>().ok()).map_or(16 << 10, |count| count / 4 * 3)
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
