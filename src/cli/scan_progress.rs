//! The progress bar of a scan of the corpus.

use super::output::shows_bars;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

/// A scan shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// A progress bar for a scan of the corpus that takes long.
pub struct ScanProgress {
    begun: Instant,
    bar: OnceLock<ProgressBar>,
}

impl ScanProgress {
    /// Starts a scan; draws nothing yet.
    pub fn new() -> Self {
        Self { begun: Instant::now(), bar: OnceLock::new() }
    }

    /// Reports that `done` of `all` bytes are scanned. Any thread may call this.
    pub fn report(&self, done: u64, all: u64) {
        if self.begun.elapsed() < PATIENCE || !shows_bars() {
            return;
        }
        let style = "scanning {bar:28.cyan/blue.dim} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
        let bar = self.bar.get_or_init(|| {
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            let target = ProgressDrawTarget::stderr_with_hz(10);
            ProgressBar::with_draw_target(Some(all), target).with_style(style.progress_chars("━╸━"))
        });
        bar.set_position(done.max(bar.position()));
    }
}

impl Drop for ScanProgress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}
