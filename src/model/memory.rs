//! How much memory a run needs, and how much there is.

use super::ModelConfig;
use crate::{Error, InputKind, Layer, Result, Settings};

/// Copies of the parameters that training holds: themselves, the gradient, two moments, and two packed copies
/// (forward and backward).
const PARAMETER_COPIES: f64 = 6.0;

/// About how many bytes training with these settings needs, for a vocabulary of V symbols. In f64, so that absurd
/// sizes can be told too.
///
/// Counted are six arenas of parameters (themselves, gradient, two moments, two packed copies), the table
/// `embedding . W` [V, GH], and the buffers of one window: per step, row and layer the gates and their deltas with
/// five more vectors, (2G + 5) H floats; and the logits [T, B, V].
pub fn memory_needed(settings: &Settings, vocabulary: usize) -> f64 {
    let config = ModelConfig::unchecked(settings, vocabulary);
    let symbols = vocabulary as f64;
    let first = config.stack.first().map_or(0.0, |layer| layer.gates() as f64 * layer.hidden as f64);
    let table = if settings.input == InputKind::Embedding { symbols * first } else { 0.0 };
    let cells = settings.steps as f64 * settings.batch as f64;
    // Of equal layers only the first few thousand are listed.
    let stacked = of_a_step(&config);
    let listed = if settings.stack.is_empty() {
        settings.layers as f64 / config.stack.len().max(1) as f64
    } else {
        1.0
    };
    let window = cells * (stacked * listed + symbols);
    4.0 * (PARAMETER_COPIES * config.estimated_count() * listed + table + window)
}

/// Floats that a step of one row takes in all layers.
fn of_a_step(config: &ModelConfig) -> f64 {
    let layer = |layer: &Layer| (2.0 * layer.gates() as f64 + 5.0) * layer.hidden as f64;
    config.stack.iter().map(layer).sum()
}

/// Refuses a stack by itself of which `copies` arenas, and the buffers of a window of T steps by B rows, are more than the
/// machine has.
///
/// # Errors
/// As for [`check_memory`].
pub(crate) fn check_stack(config: &ModelConfig, copies: f64, [steps, rows]: [usize; 2]) -> Result<()> {
    let window = steps as f64 * rows as f64 * of_a_step(config);
    check_bytes(4.0 * (copies * config.estimated_count() + window))
}

/// Refuses more bytes than the machine has.
///
/// # Errors
/// As for [`check_memory`].
pub(crate) fn check_bytes(needed: f64) -> Result<()> {
    match memory_total() {
        Some(available) if needed > available => Err(Error::Memory { needed, available }),
        _ => Ok(()),
    }
}

/// Refuses settings whose training needs more memory than the machine has in all. Where the system does not tell
/// (anything but Linux), every size passes.
///
/// # Errors
/// [`Error::Memory`] says how much is needed and how much there is.
pub fn check_memory(settings: &Settings, vocabulary: usize) -> Result<()> {
    match memory_total() {
        Some(available) => check_against(settings, vocabulary, available),
        None => Ok(()),
    }
}

fn check_against(settings: &Settings, vocabulary: usize, available: f64) -> Result<()> {
    let needed = memory_needed(settings, vocabulary);
    if needed <= available { Ok(()) } else { Err(Error::Memory { needed, available }) }
}

/// Bytes of memory in the machine, as Linux tells.
pub(crate) fn memory_total() -> Option<f64> {
    total_in(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn total_in(meminfo: &str) -> Option<f64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

/// A number of bytes as people say it: "1.5 GiB".
pub(crate) fn bytes(count: f64) -> String {
    const UNITS: [&str; 7] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB"];
    let mut unit = 0;
    let mut size = count / 1024.0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if size < 1e6 { format!("{size:.1} {}", UNITS[unit]) } else { format!("{size:.1e} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cell;

    #[test]
    fn the_estimate_counts_parameters_and_window() {
        let settings = Settings {
            cell: Cell::Rnn,
            hidden: 10,
            layers: 2,
            input: InputKind::OneHot,
            batch: 3,
            steps: 5,
            ..Settings::default()
        };
        let parameters = (10 * (7 + 10 + 2) + 10 * (20 + 2) + 7 * 11) as f64;
        let window = (15 * (2 * 7 * 10 + 7)) as f64;
        assert_eq!(memory_needed(&settings, 7), 4.0 * (6.0 * parameters + window));
    }

    #[test]
    fn too_much_says_how_much() {
        let settings = Settings { hidden: 100_000, ..Settings::default() };
        let text = check_against(&settings, 65, 8.0 * 1024f64.powi(3)).unwrap_err().to_string();
        assert_eq!(
            text,
            "the model and its training need about 1.8 TiB of memory, more than the 8.0 GiB there are: \
             lower hidden, layers, embedding, batch or steps"
        );
        check_against(&Settings::default(), 65, 8.0 * 1024f64.powi(3)).unwrap();
    }

    #[test]
    fn absurd_sizes_stay_finite() {
        let most = usize::MAX;
        let settings =
            Settings { hidden: most, layers: most, batch: most, steps: most, ..Settings::default() };
        let needed = memory_needed(&settings, most);
        assert!(needed.is_finite() && needed > 1e70);
        assert!(bytes(needed).contains("e"));
    }

    #[test]
    fn the_total_is_read_from_meminfo() {
        let text = "MemFree:  12 kB\nMemTotal:       16384 kB\n";
        assert_eq!(total_in(text), Some(16384.0 * 1024.0));
        assert_eq!(total_in("MemTotal: many kB"), None);
        assert_eq!(total_in(""), None);
        assert_eq!(bytes(1536.0 * 1024.0), "1.5 MiB");
    }
}
