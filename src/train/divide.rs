//! A run divided among processes.
//!
//! 1. Each process (rank) runs some of the windows of a step (`step.rs`).
//! 2. The parameters are cut into buckets: the head, and each layer. Each bucket is divided among the
//!    ranks, into shares of whole blocks of the norm (`shares.rs`). A rank receives all gradients of
//!    its shares, and only it has their moments.
//! 3. The gradients are computed from the head down. Those of a bucket travel while those of the
//!    next bucket are computed (`exchange.rs`). Their sum has the order of `sum_tree.rs`.
//! 4. Each rank updates its shares, and all ranks gather the parameters.
//! 5. Rank 0 decides when a step, an evaluation or a checkpoint comes. The others follow (`follow.rs`).
//!
//! All ranks check first that they have the same run (`agree.rs`).

mod agree;
mod exchange;
mod follow;
mod shares;
mod step;
mod text_checks;
mod times;

use super::sum_tree::SumTree;
use super::{Ranks, Training};
use crate::corpus::CheckTimer;
use crate::exec::starts;
use crate::optim::UpdateRule;
use crate::{Error, Result};
pub(super) use agree::{Outcome, agree};
pub(super) use follow::{Collected, Command};
use shares::Shares;
use std::ops::Range;
use std::sync::{Arc, Mutex};
pub use times::ExchangeTimes;

/// The other processes of a run, and what this one owns.
#[derive(Debug)]
pub(super) struct Divided {
    ranks: Arc<dyn Ranks>,
    shares: Shares,
    /// The sums of gradients that each rank sends in a step.
    trees: Vec<SumTree>,
    /// The update rule of each of this rank's shares, with its moments.
    rules: Vec<UpdateRule>,
    /// Buffers for messages, from one step to the next.
    spare: Mutex<Vec<Vec<u8>>>,
    times: ExchangeTimes,
    /// The time of the next check of this rank's text in a step, on all ranks but 0.
    text_check: Option<CheckTimer>,
    /// True if rank 0 has ended the run.
    ended: bool,
}

impl Divided {
    pub(super) fn ranks(&self) -> &dyn Ranks {
        &*self.ranks
    }
}

impl Training {
    /// Divides a run among ranks. All ranks call this function with the same run, before the first
    /// step or after it was resumed, and then
    ///
    /// - rank 0 uses the run as without other ranks;
    /// - all others call [`Training::follow`].
    ///
    /// The results have the bits of one process with the same settings. One rank changes nothing.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use unrolled::train::{Ranks, Training};
    ///
    /// fn train(training: Training, ranks: Arc<dyn Ranks>) -> unrolled::Result<()> {
    ///     let rank = ranks.rank();
    ///     let mut training = training.divide(ranks)?;
    ///     if rank > 0 {
    ///         training.follow();
    ///         return Ok(());
    ///     }
    ///     while !training.is_done() {
    ///         training.step()?;
    ///     }
    ///     training.save("model.safetensors".as_ref())
    /// }
    /// ```
    ///
    /// # Errors
    /// All ranks get an error if
    ///
    /// 1. there are more ranks than windows in a step ([`Error::Setting`] names `accumulate`);
    /// 2. a rank has another run than rank 0 ([`Error::OtherRank`] names the rank and the
    ///    difference): another version, text, setting, parameter or step.
    ///
    /// # Panics
    /// If the run is divided already.
    pub fn divide(mut self, ranks: Arc<dyn Ranks>) -> Result<Self> {
        assert!(self.divided.is_none(), "the run is divided already");
        self.check_same_run(&*ranks)?;
        let (count, windows) = (ranks.count(), self.settings.run.accumulate);
        if count == 1 {
            return Ok(self);
        }
        if windows < count {
            let expected = format!(
                "{count} ranks need at least {count} windows in a step; start at most {windows} ranks, or give --accumulate {count} or a multiple of it"
            );
            return Err(Error::setting("accumulate", windows, expected));
        }
        self.own = own_windows(windows as u64, &*ranks);
        self.carried.keep(self.own.start as usize..self.own.end as usize);
        self.filled = None;
        let len = self.gradient.len();
        let shares = Shares::new(&starts(self.engine.weights()), len, count);
        let rules = shares.of(ranks.rank()).map(|share| self.optimizer.part(share)).collect();
        self.optimizer.clear();
        let text_check = (ranks.rank() > 0).then(CheckTimer::new);
        self.divided = Some(Box::new(Divided {
            ranks,
            shares,
            trees: (0..count).map(|rank| tree_of(windows, rank, count)).collect(),
            rules,
            spare: Mutex::default(),
            times: ExchangeTimes::default(),
            text_check,
            ended: false,
        }));
        Ok(self)
    }
}

impl Training {
    /// Returns the time that this rank has spent on messages; `None` for a run that is not divided.
    pub fn exchange_times(&self) -> Option<ExchangeTimes> {
        self.divided.as_ref().map(|divided| divided.times)
    }
}

/// The sums that a rank has after its windows.
fn tree_of(windows: usize, rank: usize, count: usize) -> SumTree {
    let mut tree = SumTree::new(windows as u64);
    windows_of(windows as u64, rank, count).for_each(|window| _ = tree.add(window));
    tree
}

/// The windows of each step that this rank runs.
fn own_windows(windows: u64, ranks: &dyn Ranks) -> Range<u64> {
    windows_of(windows, ranks.rank(), ranks.count())
}

/// The windows of each step that a rank runs.
fn windows_of(windows: u64, rank: usize, count: usize) -> Range<u64> {
    let (rank, count) = (rank as u128, count as u128);
    let first = |rank: u128| (u128::from(windows) * rank / count) as u64;
    first(rank)..first(rank + 1)
}
