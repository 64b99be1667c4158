//! The commands of rank 0, which the other ranks follow.

use super::super::Training;
use super::super::ranks::parts;
use super::{Divided, windows_of};
use crate::exec::State;

/// The next thing that all ranks do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum Command {
    /// [`Training::step_at`] with this learning rate.
    Step(f64),
    /// [`Training::evaluate`].
    Evaluate,
    /// Send moments and states to rank 0, for a checkpoint.
    Collect,
    /// [`Training::check_text`].
    CheckText,
    End,
}

impl Command {
    fn bytes(self) -> [u8; 9] {
        let (kind, rate) = match self {
            Self::Step(rate) => (1, rate),
            Self::Evaluate => (2, 0.0),
            Self::Collect => (3, 0.0),
            Self::End => (4, 0.0),
            Self::CheckText => (5, 0.0),
        };
        let mut bytes = [kind; 9];
        bytes[1..].copy_from_slice(&rate.to_le_bytes());
        bytes
    }

    fn of(bytes: [u8; 9]) -> Self {
        let [kind, rate @ ..] = bytes;
        match kind {
            1 => Self::Step(f64::from_le_bytes(rate)),
            2 => Self::Evaluate,
            3 => Self::Collect,
            5 => Self::CheckText,
            _ => Self::End,
        }
    }
}

/// The moments and states of all ranks, on rank 0.
#[derive(Debug)]
pub(in super::super) struct Collected {
    pub(in super::super) moments: Vec<(&'static str, Vec<f32>)>,
    pub(in super::super) state: Option<State>,
}

impl Training {
    /// Takes part in a divided run until rank 0 ends it: computes and updates this rank's share, as
    /// rank 0 decides. Call this on all ranks but 0, after [`Training::divide`]. A step that fails on
    /// any rank returns its error on rank 0, which decides how the run goes on.
    ///
    /// # Panics
    /// On rank 0, and on a run that is not divided.
    pub fn follow(&mut self) {
        let Some(ranks) = self.divided.as_ref().map(|divided| divided.ranks.clone()) else {
            panic!("a run of one process has no other process to follow");
        };
        assert!(ranks.rank() > 0, "rank 0 follows no other: it calls step");
        loop {
            let mut bytes = Command::End.bytes();
            ranks.broadcast(&mut bytes);
            match Command::of(bytes) {
                // All ranks get the same error, and rank 0 handles it.
                Command::Step(rate) => _ = self.step_with_others(rate),
                Command::Evaluate => _ = self.evaluate_with_others(),
                Command::Collect => _ = self.collect(),
                Command::CheckText => _ = self.check_text_with_others(),
                Command::End => break,
            }
        }
    }

    /// Ends [`Training::follow`] on the other ranks, as dropping the run does. The run cannot go on
    /// then, but rank 0 can still read it.
    pub fn end_followers(&mut self) {
        if let Some(divided) = &mut self.divided {
            divided.end();
        }
    }

    /// Tells the other ranks what comes next.
    ///
    /// # Panics
    /// On another rank than 0.
    pub(in super::super) fn command(&self, command: Command) {
        if let Some(divided) = &self.divided {
            divided.command(command);
        }
    }

    /// Gathers the moments and the carried states on rank 0. All ranks call this.
    pub(in super::super) fn collect(&self) -> Option<Collected> {
        let divided = self.divided.as_ref()?;
        let names: Vec<&'static str> = match divided.rules.first() {
            Some(rule) => rule.moments.iter().map(|(name, _)| *name).collect(),
            None => Vec::new(),
        };
        let moments = names.into_iter().enumerate().map(|(i, name)| (name, divided.collect_moment(i)));
        let moments = moments.collect();
        Some(Collected { moments, state: self.collect_states(divided) })
    }

    /// Gathers the carried states of all windows on rank 0.
    fn collect_states(&self, divided: &Divided) -> Option<State> {
        let own = self.carried.joined();
        if !self.carried.is_used() || self.progress.step == 0 {
            return own;
        }
        let windows = self.settings.run.accumulate;
        let mut whole = State::zero(self.model().config(), windows * self.settings.run.batch);
        let count = divided.ranks.count();
        let own = own.unwrap_or_default();
        for (to, from) in whole.layers.iter_mut().zip(&own.layers) {
            for (to, from) in [(&mut to.h, &from.h), (&mut to.c, &from.c)] {
                let part = |rank: usize| {
                    let own = windows_of(windows as u64, rank, count);
                    to.len() / windows * (own.end - own.start) as usize
                };
                let counts: Vec<usize> = (0..count).map(part).collect();
                let gathered = divided.to_first(from, &counts);
                if !gathered.is_empty() {
                    *to = gathered;
                }
            }
        }
        Some(whole)
    }
}

impl Divided {
    fn command(&self, command: Command) {
        assert!(self.ranks.rank() == 0, "only rank 0 of a divided run decides what comes next");
        if !self.ended {
            self.ranks.broadcast(&mut command.bytes());
        }
    }

    fn end(&mut self) {
        self.command(Command::End);
        self.ended = true;
    }

    /// Sends the values of each rank to rank 0, which gets them one after the other. `counts` has
    /// their numbers.
    fn to_first(&self, own: &[f32], counts: &[usize]) -> Vec<f32> {
        let (rank, bytes) = (self.ranks.rank(), size_of::<f32>());
        let mut sent = vec![0; counts.len()];
        sent[0] = own.len() * bytes;
        let received: Vec<usize> =
            counts.iter().map(|count| if rank == 0 { count * bytes } else { 0 }).collect();
        let mut all = vec![0.0f32; received.iter().sum::<usize>() / bytes];
        self.ranks.all_to_all(
            bytemuck::cast_slice(own),
            &sent,
            bytemuck::cast_slice_mut(&mut all),
            &received,
        );
        all
    }

    /// Gathers moment number `index` on rank 0, in the layout of the parameters.
    fn collect_moment(&self, index: usize) -> Vec<f32> {
        let own: Vec<f32> =
            self.rules.iter().flat_map(|rule| rule.moments[index].1.iter().copied()).collect();
        let ranks = self.ranks.count();
        let counts: Vec<usize> = (0..ranks).map(|rank| self.shares.owned(rank)).collect();
        let all = self.to_first(&own, &counts);
        let mut whole = vec![0.0; all.len()];
        let shares = self.shares.all();
        let lengths: Vec<usize> = shares.iter().map(|share| share.len()).collect();
        for (share, place) in shares.iter().zip(parts(&lengths)) {
            if !all.is_empty() {
                whole[share.clone()].copy_from_slice(&all[place]);
            }
        }
        whole
    }
}

/// The others wait for the next command of rank 0. Without it they would wait forever.
impl Drop for Divided {
    fn drop(&mut self) {
        if self.ranks.rank() == 0 && !std::thread::panicking() {
            self.end();
        }
    }
}
