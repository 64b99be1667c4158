//! How much memory a run needs, and how much it may use.

mod estimate;
mod limits;

use super::ModelConfig;
use crate::{Error, Result, Settings, error::bytes};
pub(crate) use estimate::Estimate;
use limits::Limit;
use memmap2::MmapMut;

/// About how many bytes the process takes at its peak when it trains with these settings, for a vocabulary of V symbols: to
/// within a tenth of what the system counts as resident. The text comes on top: see
/// [`Corpus::memory`](crate::corpus::Corpus::memory). In f64, so that absurd sizes have an answer too.
///
/// Counted are parameters, gradient and moments, the weights packed for both passes, the input table, the activations of a
/// window, an evaluation with its sample, and the process itself.
pub fn memory_needed(settings: &Settings, vocabulary: usize) -> f64 {
    Estimate::of_training(settings, vocabulary).total()
}

/// Refuses settings whose training needs more memory than this process may use: that of the machine, of its control groups
/// (containers, batch systems), or of `ulimit`. Where the system names no limit (anything but Linux), every size passes.
///
/// # Errors
/// [`Error::Memory`] says how much is needed, and which limit is how high.
pub fn check_memory(settings: &Settings, vocabulary: usize) -> Result<()> {
    check_bytes(memory_needed(settings, vocabulary))
}

/// The same for an evaluation alone, read as `streams` streams in windows of `steps` steps.
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

/// Refuses a stack by itself of which `copies` arenas, and the buffers of a window of T steps by B rows, are more than this
/// process may use.
///
/// # Errors
/// As for [`check_memory`].
pub(crate) fn check_stack(config: &ModelConfig, copies: f64, window: [usize; 2]) -> Result<()> {
    check_bytes(4.0 * copies * config.estimated_count() + estimate::window_of(config, window))
}

/// Refuses windows of T steps by B rows that need more than this process may use.
///
/// # Errors
/// As for [`check_memory`].
pub(crate) fn check_plan(config: &ModelConfig, window: [usize; 2]) -> Result<()> {
    check_bytes(estimate::plan_of(config, window))
}

/// Refuses more bytes than this process may use, or than the system gives.
///
/// # Errors
/// As for [`check_memory`], and [`Error::Allocation`].
pub(crate) fn check_bytes(needed: f64) -> Result<()> {
    check_against(limits::limits(), needed)?;
    check_mappable(needed)
}

/// Asks the system for that many bytes and gives them back untouched, which costs next to nothing: some systems promise no
/// more than they have, and an allocation that fails later ends the process.
fn check_mappable(needed: f64) -> Result<()> {
    let bytes = needed.clamp(1.0, isize::MAX as f64 / 2.0) as usize;
    MmapMut::map_anon(bytes).map(drop).map_err(|_| Error::Allocation { needed: bytes })
}

fn check_against(limits: Vec<Limit>, needed: f64) -> Result<()> {
    match limits::broken(limits, needed) {
        None => Ok(()),
        Some(Limit { bytes: available, used, of }) => {
            let in_use =
                if used > 0.0 { format!(", of which {} are in use", bytes(used)) } else { String::new() };
            Err(Error::Memory { needed, available, of: of + &in_use })
        }
    }
}

/// Bytes that this process may use at most, where the system names a limit.
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
    fn too_much_says_how_much_and_which_limit() {
        let settings = Settings {
            model: ModelSettings { hidden: 100_000, ..ModelSettings::default() },
            ..Settings::default()
        };
        let needed = memory_needed(&settings, 65);
        let told = |limits| check_against(limits, needed).unwrap_err().to_string();
        let text = told(limit("of this machine", 0.0));
        assert!(text.starts_with("the model and its training need about "), "{text}");
        let end = "TiB of memory, more than the 8.0 GiB of this machine; lower hidden, layers, embedding, batch or steps";
        assert!(text.ends_with(end), "{text}");
        let text = told(limit("that `ulimit -v` allows", 1024f64.powi(3)));
        assert!(
            text.contains("the 8.0 GiB that `ulimit -v` allows, of which 1.0 GiB are in use; lower"),
            "{text}"
        );
        check_against(limit("of this machine", 0.0), memory_needed(&Settings::default(), 65)).unwrap();
        check_against(Vec::new(), needed).unwrap();
    }

    #[test]
    fn what_the_system_does_not_give_is_an_error() {
        check_mappable(0.0).unwrap();
        check_mappable(1e6).unwrap();
        let text = check_mappable(1e18).unwrap_err().to_string();
        assert!(text.starts_with("the system refused 888.2 PiB of memory; "), "{text}");
    }

    #[test]
    fn absurd_sizes_stay_finite() {
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
    fn sizes_are_written_as_people_say_them() {
        assert_eq!((bytes(1536.0 * 1024.0), bytes(512.0)), ("1.5 MiB".to_owned(), "0.5 KiB".to_owned()));
    }
}
