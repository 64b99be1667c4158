//! The memory of windows. A window that is larger than all before it is checked first, because an
//! allocation that fails would end the process.

use crate::status::Failure;
use std::sync::atomic::{AtomicUsize, Ordering};
use unrolled::model::{ModelConfig, check_evaluation_memory, check_memory};
use unrolled::{RunSettings, Settings};

/// The most tokens of a window that was checked.
#[derive(Default)]
pub(crate) struct LargestWindow {
    tokens: AtomicUsize,
}

impl LargestWindow {
    /// Checks a window of inference.
    pub(crate) fn check(&self, config: &ModelConfig, window: [usize; 2]) -> Result<(), Failure> {
        self.check_once(config, window, |settings, [steps, batch]| {
            check_evaluation_memory(settings, config.vocabulary, steps, batch)
        })
    }

    /// Checks a window of training.
    pub(crate) fn check_training(&self, config: &ModelConfig, window: [usize; 2]) -> Result<(), Failure> {
        self.check_once(config, window, |settings, _| check_memory(settings, config.vocabulary))
    }

    fn check_once(
        &self,
        config: &ModelConfig,
        [steps, batch]: [usize; 2],
        check: impl FnOnce(&Settings, [usize; 2]) -> unrolled::Result<()>,
    ) -> Result<(), Failure> {
        let tokens = steps.saturating_mul(batch);
        if tokens > self.tokens.load(Ordering::Relaxed) {
            let run = RunSettings { steps, batch, ..RunSettings::default() };
            let settings = Settings { model: config.settings(), run, ..Settings::default() };
            check(&settings, [steps, batch])?;
            self.tokens.fetch_max(tokens, Ordering::Relaxed);
        }
        Ok(())
    }
}
