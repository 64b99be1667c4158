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
//! else from behind it, where all threads share the bandwidth. The bits of results do not depend on
//! the division.

use crate::exec::weights::{LayerWeights, PackedWeights};
use crate::parallel::{Divide, Threads};
use serde::Serialize;
use unrolled_kernels::pack::padded;
use unrolled_kernels::processor::{Caches, caches};
use unrolled_kernels::team::MOST_MEMBERS;

/// Rows of a full tile of four vectors.
const TILE_ROWS: usize = 6;
/// Bytes that a core loads from its second-level cache in a cycle.
const SECOND: f64 = 32.0;
/// Bytes that all cores together load from behind their second-level caches in a cycle, and the most
/// that one core does.
const BEHIND: f64 = 64.0;
const BEHIND_ONE: f64 = 24.0;
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
            None => {
                let (caches, lanes, started) = (caches(), weights.isa.lanes(), threads.started());
                Costs { weights, caches, lanes, started, shape: [steps, rows] }.cheapest(by_rows, most)
            }
        }
    }
}

/// The figures of a division: of a step of all layers, for the thread with the most work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DivisionFigures {
    /// Number of parts that the rows are divided into.
    pub shards: usize,
    /// Number of threads that divide the hidden units of each part.
    pub members: usize,
    /// Bytes of weights that a thread multiplies in a step of the forward pass.
    pub weight_bytes: usize,
    /// How often the members of a team meet in a step of the forward pass.
    pub meetings: usize,
    /// The rows of a thread as a share of the rows of its tiles.
    pub filled: f64,
}

impl Division {
    /// Returns the figures of a window of `rows` rows.
    pub(crate) fn figures(self, weights: &PackedWeights, rows: usize) -> DivisionFigures {
        let Self { shards, members } = self;
        let bytes = |(l, layer)| size_of::<f32>() * self.floats(layer, l == 0 && weights.gathers);
        let phases = |layer: &LayerWeights| layer.gated().map_or(0, |gated| gated.recurrent.len());
        let meetings = weights.layers.iter().map(phases).sum();
        let rows = rows.div_ceil(shards);
        DivisionFigures {
            shards,
            members,
            weight_bytes: weights.layers.iter().enumerate().map(bytes).sum(),
            meetings: if members > 1 { meetings } else { 0 },
            filled: rows as f64 / rows.next_multiple_of(TILE_ROWS) as f64,
        }
    }

    /// Returns the floats of a layer's weights that the busiest member multiplies for each row;
    /// without those of an input that is `gathered` from a table.
    fn floats(self, layer: &LayerWeights, gathered: bool) -> usize {
        let blocks = (padded(layer.sizes.hidden) / 16).max(1);
        layer.work(gathered) * blocks.div_ceil(self.members) / blocks
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

/// The costs of a window on one machine.
struct Costs<'a> {
    weights: &'a PackedWeights,
    caches: Caches,
    /// Floats of a vector.
    lanes: usize,
    /// Threads that run at the same time.
    started: usize,
    /// T and B.
    shape: [usize; 2],
}

impl Costs<'_> {
    /// Returns the division with the lowest cost, with up to `most` members of a team. `by_rows` is
    /// that of rows.
    fn cheapest(&self, by_rows: Division, most: usize) -> Division {
        let (mut best, mut lowest) = (by_rows, GAIN * self.of_window(by_rows));
        for shards in 1..=self.started.min(by_rows.shards) {
            for members in 2..=most.min(self.started / shards) {
                let division = Division { shards, members };
                let cost = self.of_window(division);
                if cost < lowest {
                    (best, lowest) = (division, cost);
                }
            }
        }
        best
    }

    /// Returns the cycles of a step of all layers.
    fn of_window(&self, division: Division) -> f64 {
        let turns = (division.shards * division.members).div_ceil(self.started);
        let layers = self.weights.layers.iter().enumerate();
        let step: f64 = layers.map(|(l, layer)| self.of_layer(l, layer, division)).sum();
        turns as f64 * step
    }

    /// Returns the cycles of a step of one layer.
    fn of_layer(&self, l: usize, layer: &LayerWeights, division: Division) -> f64 {
        let [steps, rows] = [self.shape[0], self.shape[1].div_ceil(division.shards)];
        let gathered = l == 0 && self.weights.gathers;
        let floats = division.floats(layer, gathered) as f64;
        let compute = rows as f64 * floats / (2 * self.lanes) as f64;
        let stream = self.streams(layer, gathered, rows) * self.load_cycles(floats, division);
        let meetings = match division.members {
            1 => 0.0,
            members => ROUND * f64::from(members.next_power_of_two().ilog2()) + START / steps as f64,
        };
        compute.max(stream) + meetings
    }

    /// Returns how often a step reads the weights from behind the first-level cache: once if a panel
    /// stays in it for all tiles of the `rows`, else once for each tile.
    fn streams(&self, layer: &LayerWeights, gathered: bool, rows: usize) -> f64 {
        let depth = layer.sizes.state + if gathered { 0 } else { layer.inputs };
        let panel = 4 * 16 * size_of::<f32>() * depth;
        let stays = panel <= self.caches.first / 4 * 3;
        (if stays { 1 } else { rows.div_ceil(TILE_ROWS) }) as f64
    }

    /// Returns the cycles in which a thread loads `floats` weights that it loads in every step. Of
    /// weights of three quarters of the second-level cache, all stay there; of twice as many, none.
    fn load_cycles(&self, floats: f64, division: Division) -> f64 {
        let bytes = size_of::<f32>() as f64 * floats;
        let readers = (division.shards * division.members).min(self.started);
        let behind = (BEHIND / readers as f64).min(BEHIND_ONE);
        let stay = (2.0 - bytes / (0.75 * self.caches.second as f64)).clamp(0.0, 1.0);
        bytes * (stay / SECOND + (1.0 - stay) / behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::{Layer, ModelSettings, Precision, Reset};
    use unrolled_kernels::Isa;

    /// The weights of LSTM layers of H units.
    fn weights(hidden: usize, layers: usize) -> PackedWeights {
        let settings = ModelSettings { layers, ..ModelSettings::lstm(hidden) };
        let model = Model::new(&settings, 65, 1).unwrap();
        PackedWeights::new(model.config(), Isa::PORTABLE, Precision::F32, false)
    }

    fn choose(hidden: usize, layers: usize, [steps, rows]: [usize; 2], threads: usize) -> Division {
        let weights = &weights(hidden, layers);
        // A Xeon with AVX-512.
        let caches = Caches { first: 48 << 10, second: 2 << 20, third: 200 << 20 };
        let by_rows = Division { shards: threads.min(rows), members: 1 };
        let costs = Costs { weights, caches, lanes: 16, started: threads, shape: [steps, rows] };
        costs.cheapest(by_rows, blocks(weights).min(threads))
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

    /// The two layers of LSTM 2x512 have 4 and 8 MiB of weights. Sixteen threads that divide 50 rows
    /// read them all in every step, for four rows in tiles of six; with units, a sixteenth for all.
    #[test]
    fn with_units_a_thread_reads_its_part_of_the_weights() {
        let weights = weights(512, 2);
        let rows = Division { shards: 16, members: 1 }.figures(&weights, 50);
        assert_eq!((rows.weight_bytes, rows.meetings), (12 << 20, 0));
        assert_eq!(rows.filled, 4.0 / 6.0);
        let units = Division { shards: 1, members: 16 }.figures(&weights, 50);
        assert_eq!((units.weight_bytes, units.meetings), (12 << 16, 2));
        assert_eq!(units.filled, 50.0 / 54.0);
        let both = Division { shards: 2, members: 8 }.figures(&weights, 50);
        assert_eq!((both.weight_bytes, both.meetings, both.filled), (12 << 17, 2, 25.0 / 30.0));
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
            let weights = PackedWeights::new(model.config(), Isa::PORTABLE, Precision::F32, false);
            assert_eq!(blocks(&weights), expected, "{settings:?}");
        }
    }
}
