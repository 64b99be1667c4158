//! The memory that a model needs, and the memory that the process may use.

mod estimate;
mod layer_sizes;
mod limits;

use super::ModelConfig;
use crate::{Error, Result, Settings, error::bytes};
pub(crate) use estimate::Estimate;
use limits::Limit;
use memmap2::MmapMut;

/// Returns the estimated peak memory of the process, in bytes, when it trains with these settings
/// on V = `vocabulary` symbols: within a tenth of the resident memory. The corpus is not included:
/// see [`Corpus::memory`](crate::corpus::Corpus::memory). The result is an f64 because it may
/// exceed every integer type.
///
/// Included are parameters, gradient and moments, the weights packed for both passes, the input
/// table, the activations of a window, an evaluation with its sample, and the process itself.
pub fn memory_needed(settings: &Settings, vocabulary: usize) -> f64 {
    Estimate::of_training(settings, vocabulary).total()
}

/// Checks that training with these settings needs no more memory than the process may use. The
/// limits are the memory of the machine, its control groups (containers, batch systems), and
/// `ulimit`. They are read on Linux only; other systems accept every size.
///
/// # Errors
/// 1. [`Error::Memory`] with the memory needed and the limit.
/// 2. [`Error::Allocation`] if the system does not provide that much memory.
pub fn check_memory(settings: &Settings, vocabulary: usize) -> Result<()> {
    check_bytes(memory_needed(settings, vocabulary))
}

/// Checks the memory of an evaluation that reads `streams` streams in windows of `steps` steps.
///
/// # Errors
/// As for [`check_memory`].
pub fn check_evaluation_memory(
    settings: &Settings,
    vocabulary: usize,
    steps: usize,
    streams: usize,
) -> Result<()> {
    check_bytes(Estimate::of_evaluation(settings, vocabulary, [steps, streams]).total())
}

/// Checks the memory of `copies` buffers with the layout of the parameters, and of a training
/// window of T steps by B rows.
///
/// # Errors
/// As for [`check_memory`].
pub(crate) fn check_model(config: &ModelConfig, copies: f64, window: [usize; 2]) -> Result<()> {
    check_bytes(4.0 * copies * config.estimated_count() + estimate::training_window(config, window))
}

/// Checks the memory of a plan for windows of T steps by B rows.
///
/// # Errors
/// As for [`check_memory`].
pub(crate) fn check_plan(config: &ModelConfig, window: [usize; 2]) -> Result<()> {
    check_bytes(estimate::inference_plan(config, window))
}

/// Checks that the process may use this number of bytes, and that the system provides them.
///
/// # Errors
/// As for [`check_memory`].
pub(crate) fn check_bytes(needed: f64) -> Result<()> {
    check_against(limits::limits(), needed)?;
    check_mappable(needed)
}

/// Maps this number of bytes and releases them untouched, which takes almost no time. Some systems
/// promise only memory that they have, and a later allocation that fails would end the process.
fn check_mappable(needed: f64) -> Result<()> {
    let bytes = needed.clamp(1.0, isize::MAX as f64 / 2.0) as usize;
    MmapMut::map_anon(bytes).map(drop).map_err(|_| Error::Allocation { needed: bytes })
}

fn check_against(limits: Vec<Limit>, needed: f64) -> Result<()> {
    match limits::exceeded(limits, needed) {
        None => Ok(()),
        Some(Limit { bytes: available, used, of }) => {
            let in_use =
                if used > 0.0 { format!(", of which {} are in use", bytes(used)) } else { String::new() };
            Err(Error::Memory { needed, available, of: of + &in_use })
        }
    }
}

/// Returns the number of bytes that this process may use; `None` if no limit is known.
#[cfg(feature = "files")]
pub(crate) fn memory_total() -> Option<f64> {
    limits::limits().into_iter().map(|limit| limit.bytes).min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModelSettings, RunSettings};

    fn limit(of: &str, used: f64) -> Vec<Limit> {
        vec![Limit { bytes: 8.0 * 1024f64.powi(3), used, of: of.to_owned() }]
    }

    #[test]
    fn the_error_says_how_much_memory_is_needed_and_which_limit_is_exceeded() {
        let settings = Settings {
            model: ModelSettings { hidden: 100_000, ..ModelSettings::default() },
            ..Settings::default()
        };
        let needed = memory_needed(&settings, 65);
        let message = |limits| check_against(limits, needed).unwrap_err().to_string();
        let text = message(limit("of this machine", 0.0));
        assert!(text.starts_with("the model and its training need about "), "{text}");
        let end = "TiB of memory, more than the 8.0 GiB of this machine; lower hidden, layers, embedding, batch or steps";
        assert!(text.ends_with(end), "{text}");
        let text = message(limit("that `ulimit -v` allows", 1024f64.powi(3)));
        assert!(
            text.contains("the 8.0 GiB that `ulimit -v` allows, of which 1.0 GiB are in use; lower"),
            "{text}"
        );
        check_against(limit("of this machine", 0.0), memory_needed(&Settings::default(), 65)).unwrap();
        check_against(Vec::new(), needed).unwrap();
    }

    #[test]
    fn memory_that_the_system_does_not_provide_is_an_error() {
        check_mappable(0.0).unwrap();
        check_mappable(1e6).unwrap();
        let text = check_mappable(1e18).unwrap_err().to_string();
        assert!(text.starts_with("the system refused 888.2 PiB of memory; "), "{text}");
    }

    #[test]
    fn the_estimate_of_absurd_sizes_is_finite() {
        let most = usize::MAX;
        let settings = Settings {
            model: ModelSettings { hidden: most, layers: most, ..ModelSettings::default() },
            run: RunSettings { batch: most, steps: most, ..RunSettings::default() },
            ..Settings::default()
        };
        let needed = memory_needed(&settings, most);
        assert!(needed.is_finite() && needed > 1e70);
        assert!(bytes(needed).contains("e"));
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!((bytes(1536.0 * 1024.0), bytes(512.0)), ("1.5 MiB".to_owned(), "0.5 KiB".to_owned()));
    }
}
