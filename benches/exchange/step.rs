//! The messages of one training step, their check, and their times.

use std::iter::repeat_n;
use std::ops::Range;
use std::time::Instant;
use unrolled::train::Ranks;

/// Least number of timed repeats.
const REPEATS: usize = 5;

/// The size of the messages of a step, which have a number for each parameter.
#[derive(Clone, Copy)]
pub struct Payload {
    /// Number of parameters.
    pub floats: usize,
    /// Bytes of a number: 4 for f32, 2 for bf16.
    pub value_bytes: usize,
}

impl Payload {
    /// Returns the bytes that a rank owns.
    fn share(&self, rank: usize, count: usize) -> Range<usize> {
        let border = |rank: usize| self.floats * rank / count * self.value_bytes;
        border(rank)..border(rank + 1)
    }

    /// Returns the bytes that a rank sends in each of the two calls, on average over the ranks.
    pub fn sent(&self, count: usize) -> f64 {
        (self.floats * self.value_bytes) as f64 * (count - 1) as f64 / count as f64
    }
}

/// Seconds of one call, each time those of the slowest rank.
pub struct CallTimes {
    pub best: f64,
    pub median: f64,
}

/// The times of a step.
pub struct StepTimes {
    pub all_to_all: CallTimes,
    pub all_gather: CallTimes,
}

/// The buffers of a step.
pub struct Step<'a> {
    ranks: &'a dyn Ranks,
    payload: Payload,
    /// Bytes of the share of each rank.
    shares: Vec<usize>,
    /// Bytes that this rank receives from each rank.
    parts: Vec<usize>,
    /// The gradient of this rank, all of it.
    gradient: Vec<u8>,
    /// The gradients of all ranks for the share of this one.
    partials: Vec<u8>,
    /// The parameters of this rank's share.
    updated: Vec<u8>,
    /// The parameters of all shares.
    parameters: Vec<u8>,
}

/// Returns the byte that a rank sends at a position of the payload.
fn expected(rank: usize, position: usize) -> u8 {
    (31 * rank + 7 * position + position / 256) as u8
}

impl<'a> Step<'a> {
    pub fn new(ranks: &'a dyn Ranks, payload: Payload) -> Self {
        let (rank, count) = (ranks.rank(), ranks.count());
        let own = payload.share(rank, count);
        let bytes = payload.floats * payload.value_bytes;
        Self {
            ranks,
            payload,
            shares: (0..count).map(|rank| payload.share(rank, count).len()).collect(),
            parts: vec![own.len(); count],
            gradient: (0..bytes).map(|position| expected(rank, position)).collect(),
            partials: vec![0; count * own.len()],
            updated: own.map(|position| expected(rank, position)).collect(),
            parameters: vec![0; bytes],
        }
    }

    fn all_to_all(&mut self) {
        self.ranks.all_to_all(&self.gradient, &self.shares, &mut self.partials, &self.parts);
    }

    fn all_gather(&mut self) {
        self.ranks.all_gather(&self.updated, &self.shares, &mut self.parameters);
    }

    /// Runs both calls once and panics if a byte is wrong.
    pub fn check(&mut self) {
        self.all_to_all();
        self.all_gather();
        let (rank, count) = (self.ranks.rank(), self.ranks.count());
        let own = || self.payload.share(rank, count);
        let partials = (0..count).flat_map(|from| own().map(move |position| expected(from, position)));
        assert!(self.partials.iter().copied().eq(partials), "rank {rank}: gradients arrive");
        let owners = (0..count).flat_map(|owner| repeat_n(owner, self.payload.share(owner, count).len()));
        let parameters = owners.enumerate().map(|(position, owner)| expected(owner, position));
        assert!(self.parameters.iter().copied().eq(parameters), "rank {rank}: parameters arrive");
    }

    /// Repeats the step for some seconds.
    pub fn times(&mut self, seconds: f64) -> StepTimes {
        let (mut to_all, mut gather, mut total) = (Vec::new(), Vec::new(), 0.0);
        while total < seconds || gather.len() < REPEATS {
            to_all.push(self.slowest(Self::all_to_all));
            gather.push(self.slowest(Self::all_gather));
            total += to_all.last().unwrap_or(&0.0) + gather.last().unwrap_or(&0.0);
        }
        StepTimes { all_to_all: summary(to_all), all_gather: summary(gather) }
    }

    /// Returns the seconds of a call on the slowest rank, the same on all ranks. All have then
    /// ended the call.
    fn slowest(&mut self, call: fn(&mut Self)) -> f64 {
        let start = Instant::now();
        call(self);
        let own = start.elapsed().as_secs_f64().to_le_bytes();
        let count = self.ranks.count();
        let mut all = vec![0; count * own.len()];
        self.ranks.all_gather(&own, &vec![own.len(); count], &mut all);
        let seconds = all.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes));
        seconds.fold(0.0, f64::max)
    }
}

fn summary(mut seconds: Vec<f64>) -> CallTimes {
    seconds.sort_by(f64::total_cmp);
    CallTimes { best: seconds[0], median: seconds[seconds.len() / 2] }
}
