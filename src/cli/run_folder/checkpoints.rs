//! The last checkpoints of a run.

use super::{LAST, RunFolder, failed};
use crate::cli::failure::Failure;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use unrolled::train::Training;

/// How the name of a checkpoint begins that is no longer the last; its step follows.
const EARLIER: &str = "checkpoint-";

impl RunFolder {
    /// Earlier checkpoints that were kept, the newest first, with their steps.
    pub fn earlier(&self) -> Vec<(u64, PathBuf)> {
        let entries = fs::read_dir(self.held()).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .filter_map(|entry| {
                let name = entry.file_name();
                let step = name.to_str()?.strip_prefix(EARLIER)?.strip_suffix(".safetensors")?;
                Some((step.parse().ok()?, self.path.join(name)))
            })
            .collect();
        found.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
        found
    }

    /// Replaces `checkpoint.safetensors` by one of the run as it stands. The one that was there, of step `before`, stays under
    /// another name, as long as there are no more than `keep` in all.
    pub fn write_last(&self, training: &Training, before: Option<u64>, keep: usize) -> Result<(), Failure> {
        if let Some(step) = before.filter(|step| keep > 1 && *step != training.progress().step) {
            let (last, earlier) =
                (self.held().join(LAST), self.held().join(format!("{EARLIER}{step}.safetensors")));
            if last.exists() {
                // What has this name already may be damaged; the last one is intact, and of the same step.
                let _ = fs::remove_file(&earlier);
            }
            // Where a file cannot have two names it is renamed, and for a moment the last one is this.
            match fs::hard_link(&last, &earlier) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists && last.exists() => {
                    let renamed = fs::rename(&last, &earlier).map_err(failed("write", &earlier));
                    self.named(renamed.map_err(Failure::from))?;
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

    /// A checkpoint that stays does no harm: one more than asked for, or one that is passed over when it is needed.
    fn remove(&self, path: &Path) {
        let _ = path.file_name().map(|name| fs::remove_file(self.held().join(name)));
    }

    /// Removes checkpoints of later steps than `step`, from which a run goes on: they are damaged, or it would have gone on
    /// from them, and as the newest they would push the intact ones out.
    pub fn forget_after(&self, step: u64) {
        for (_, path) in self.earlier().into_iter().filter(|(later, _)| *later > step) {
            self.remove(&path);
        }
    }
}
