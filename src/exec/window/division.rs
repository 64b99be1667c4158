//! The division of a window among threads: by rows, by hidden units, or by both.
//!
//! ```text
//! rows      each thread runs all layers for its own rows, and never waits
//! units     all threads run each layer together, each its own units; they meet after each step
//! both      teams of threads divide the rows, and the members of a team divide the units
//! ```
//!
//! Rows need no meetings. But with few rows for each thread, its tiles are half empty, and every
//! thread streams all weights through its caches in every step. With units, each thread keeps its
//! part of the weights in its second-level cache for the whole window.
//!
//! The cost of a step of one layer, in cycles of the thread with the most work:
//!
//! ```text
//! tiles  = rows of a shard / rows of a full tile, rounded up
//! floats = weights of the layer * (blocks of the busiest member / all blocks)
//! cost   = max(rows * floats / multiply-adds in a cycle, tiles * floats * cycles for a float)
//!        + meetings + start of the team / steps
//! ```
//!
//! A float of the weights comes from the second-level cache if the part of the thread fits there,
//! else from behind it. The bits of results do not depend on the division.

use crate::exec::weights::{LayerWeights, PackedWeights};
use crate::parallel::{Divide, Threads};
use unrolled_kernels::Isa;
use unrolled_kernels::pack::padded;
use unrolled_kernels::processor::caches;
use unrolled_kernels::team::MOST_MEMBERS;

/// Rows of a full tile of four vectors.
const TILE_ROWS: usize = 6;
/// Bytes that a core loads from its second-level cache in a cycle.
const SECOND: f64 = 32.0;
/// Bytes that a core loads from behind that cache in a cycle, while the other cores do so too.
const BEHIND: f64 = 10.0;
/// Cycles of one round of a meeting. A meeting of n members has log2(n) rounds.
const ROUND: f64 = 400.0;
/// Cycles until all members of a team are at work.
const START: f64 = 30_000.0;

/// The division of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Division {
    /// Number of parts that the rows are divided into.
    pub(crate) shards: usize,
    /// Number of threads that divide the units of a shard; 1 if one thread computes it.
    pub(crate) members: usize,
}

impl Division {
    /// One thread computes everything.
    pub(crate) const NONE: Self = Self { shards: 1, members: 1 };

    /// Chooses the division of a window of T steps by B rows with N `tokens`, in at most
    /// `most_shards` shards.
    pub(crate) fn of(
        weights: &PackedWeights,
        threads: &Threads,
        [steps, rows]: [usize; 2],
        (tokens, most_shards): (usize, usize),
    ) -> Self {
        if !weights.divides || !threads.pay(weights.work() * tokens) {
            return Self::NONE;
        }
        let by_rows = Self { shards: threads.count().min(most_shards).max(1), members: 1 };
        let most = blocks(weights).min(threads.started()).min(MOST_MEMBERS);
        if most <= 1 {
            return by_rows;
        }
        match threads.divide() {
            Some(Divide::Rows) => by_rows,
            Some(Divide::Units) => Self { shards: 1, members: most },
            Some(Divide::Both) => {
                let shards = if threads.started() < 4 { 1 } else { most_shards.clamp(1, 2) };
                Self { shards, members: most.min(threads.started() / shards) }
            }
            None => cheapest(weights, threads, [steps, rows], (by_rows, most)),
        }
    }
}

/// Returns the number of blocks of sixteen units that threads can divide: those of the widest
/// layer, or 1 if some layer needs all its units.
fn blocks(weights: &PackedWeights) -> usize {
    if !weights.layers.iter().all(LayerWeights::divides_units) {
        return 1;
    }
    weights.layers.iter().map(|layer| padded(layer.sizes.hidden) / 16).max().unwrap_or(1)
}

/// The share of the cost of rows that another division may cost. Rows win a near tie, because they
/// need no meetings.
const GAIN: f64 = 0.85;

/// Returns the division with the lowest cost, with up to `most` members of a team.
fn cheapest(
    weights: &PackedWeights,
    threads: &Threads,
    [steps, rows]: [usize; 2],
    (by_rows, most): (Division, usize),
) -> Division {
    let cost = |division: Division| -> f64 {
        let layers = weights.layers.iter().enumerate();
        layers.map(|(l, layer)| cost(weights, layer, l, division, [steps, rows])).sum()
    };
    let turns = by_rows.shards.div_ceil(threads.started());
    let (mut best, mut lowest) = (by_rows, GAIN * turns as f64 * cost(by_rows));
    for shards in 1..=threads.started().min(by_rows.shards) {
        for members in 2..=most.min(threads.started() / shards) {
            let division = Division { shards, members };
            let cost = cost(division);
            if cost < lowest {
                (best, lowest) = (division, cost);
            }
        }
    }
    best
}

/// Returns the cycles of a step of one layer.
fn cost(
    weights: &PackedWeights,
    layer: &LayerWeights,
    l: usize,
    division: Division,
    [steps, rows]: [usize; 2],
) -> f64 {
    let (caches, rows) = (caches(), rows.div_ceil(division.shards));
    let blocks = padded(layer.sizes.hidden) / 16;
    let share = blocks.div_ceil(division.members) as f64 / blocks as f64;
    let floats = layer.work(l == 0 && weights.gathers) as f64 * share;
    let bytes = size_of::<f32>() as f64 * floats;
    // A panel in the first-level cache serves all tiles.
    let depth = layer.inputs + layer.sizes.state;
    let panel = 4 * 16 * size_of::<f32>() * depth;
    let streams = if panel <= caches.first / 4 * 3 { 1 } else { rows.div_ceil(TILE_ROWS) };
    let speed = if bytes <= 0.75 * caches.second as f64 { SECOND } else { BEHIND };
    let compute = rows as f64 * floats / multiply_adds(weights.isa);
    let meetings = match division.members {
        1 => 0.0,
        members => ROUND * f64::from(members.next_power_of_two().ilog2()) + START / steps as f64,
    };
    compute.max(streams as f64 * bytes / speed) + meetings
}

/// Returns the multiply-adds that a core starts in a cycle: two vectors.
fn multiply_adds(isa: Isa) -> f64 {
    2.0 * isa.lanes() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::{Layer, ModelSettings, Reset};

    /// The weights of LSTM layers of H units.
    fn weights(hidden: usize, layers: usize) -> PackedWeights {
        let settings = ModelSettings { hidden, layers, ..ModelSettings::lstm(hidden) };
        let model = Model::new(&settings, 65, 1).unwrap();
        PackedWeights::new(model.config(), Isa::avx512().unwrap_or(Isa::PORTABLE), false)
    }

    fn choose(hidden: usize, layers: usize, [steps, rows]: [usize; 2], threads: usize) -> Division {
        let weights = weights(hidden, layers);
        let threads = Threads::start(threads, threads).unwrap();
        let most = blocks(&weights).min(threads.count());
        let by_rows = Division { shards: threads.count().min(rows), members: 1 };
        cheapest(&weights, &threads, [steps, rows], (by_rows, most))
    }

    /// Measured on sixteen cores with AVX-512: rows are faster for 112 units and 200 rows and for
    /// 128 units and 50 rows, units are faster for 512 and 1024 units.
    #[test]
    fn the_choice_is_the_one_that_was_measured_to_be_faster() {
        assert_eq!(choose(112, 1, [5, 200], 16).members, 1);
        assert_eq!(choose(128, 2, [50, 50], 16).members, 1);
        assert!(choose(512, 2, [50, 50], 16).members >= 4);
        assert!(choose(1024, 1, [64, 64], 16).members >= 4);
    }

    #[test]
    fn two_threads_divide_rows_and_a_single_row_is_divided_by_units() {
        assert_eq!(choose(128, 2, [50, 50], 2), Division { shards: 2, members: 1 });
        assert_eq!(choose(1024, 1, [1, 1], 8), Division { shards: 1, members: 8 });
        assert_eq!(choose(64, 1, [1, 1], 8).members, 1);
    }

    #[test]
    fn layers_that_need_all_their_units_are_divided_by_rows() {
        for (layer, expected) in [
            (Layer::lstm(64), 4),
            (Layer { reset: Reset::Before, ..Layer::gru(64) }, 4),
            (Layer { peepholes: true, ..Layer::lstm(64) }, 1),
            (Layer { zoneout: 0.1, ..Layer::rnn(64) }, 1),
            (Layer { state_keep_prob: 0.5, ..Layer::gru(64) }, 1),
        ] {
            let settings = ModelSettings::of_layers([layer, Layer::lstm(32)]);
            let model = Model::new(&settings, 65, 1).unwrap();
            let weights = PackedWeights::new(model.config(), Isa::PORTABLE, false);
            assert_eq!(blocks(&weights), expected, "{settings:?}");
        }
    }
}
