//! The last checkpoint of a run and the earlier ones that are kept.

use super::{BEST, LAST, RunFolder, io_error};
use crate::cli::failure::Failure;
use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};
use unrolled::train::Training;

/// Prefix of the names of earlier checkpoints; the step follows.
const EARLIER: &str = "checkpoint-";

/// Returns whether a run writes its checkpoints to files of this name.
pub fn is_of_a_run(name: &OsStr) -> bool {
    name == LAST || name == BEST || earlier_step(name).is_some()
}

/// Returns the step in the name of an earlier checkpoint.
fn earlier_step(name: &OsStr) -> Option<u64> {
    name.to_str()?.strip_prefix(EARLIER)?.strip_suffix(".safetensors")?.parse().ok()
}

impl RunFolder {
    /// Returns the earlier checkpoints with their steps, the newest first.
    pub fn earlier(&self) -> Vec<(u64, PathBuf)> {
        let entries = fs::read_dir(self.held()).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .filter_map(|entry| {
                let name = entry.file_name();
                Some((earlier_step(&name)?, self.path.join(name)))
            })
            .collect();
        found.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
        found
    }

    /// Writes the current state of the run to `checkpoint.safetensors`. The previous checkpoint, of
    /// step `before`, stays under another name; at most `keep` checkpoints stay in all.
    pub fn write_last(&self, training: &Training, before: Option<u64>, keep: usize) -> Result<(), Failure> {
        if let Some(step) = before.filter(|step| keep > 1 && *step != training.progress().step) {
            let (last, earlier) =
                (self.held().join(LAST), self.held().join(format!("{EARLIER}{step}.safetensors")));
            if last.exists() {
                // A file of this name may be damaged; the last checkpoint is intact and of the same
                // step.
                let _ = fs::remove_file(&earlier);
            }
            // Where hard links do not work, the file is renamed, and `checkpoint.safetensors` is
            // missing for a moment.
            match fs::hard_link(&last, &earlier) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists && last.exists() => {
                    let renamed = fs::rename(&last, &earlier).map_err(io_error("write", &earlier));
                    self.with_visible_path(renamed.map_err(Failure::from))?;
                }
                _ => {}
            }
        }
        self.write(LAST, |path| training.save(path))?;
        for (_, path) in self.earlier().into_iter().skip(keep.saturating_sub(1)) {
            self.remove(&path);
        }
        Ok(())
    }

    /// Removes a checkpoint. Failures are ignored: one checkpoint too many does no harm.
    fn remove(&self, path: &Path) {
        let _ = path.file_name().map(|name| fs::remove_file(self.held().join(name)));
    }

    /// Removes checkpoints later than `step`, the step that a run resumes from. They are damaged,
    /// or the run would resume from them; as the newest they would displace the intact ones.
    pub fn forget_after(&self, step: u64) {
        for (_, path) in self.earlier().into_iter().filter(|(later, _)| *later > step) {
            self.remove(&path);
        }
    }
}
