//! The threads that compute a window of one layer.

use crate::parallel::Threads;
use crate::phases::Clock;
use std::time::Duration;
use unrolled_kernels::Isa;
use unrolled_kernels::team::{AnyTeam, Idle, Seat, WindowPass};

/// The threads that compute a window: the calling one, or a team.
#[derive(Clone, Copy)]
pub(crate) struct Crew<'a> {
    pub(crate) isa: Isa,
    /// `None` for the calling thread alone.
    pub(crate) together: Option<Together<'a>>,
}

/// The threads of a team.
#[derive(Clone, Copy)]
pub(crate) struct Together<'a> {
    pub(crate) threads: &'a Threads,
    /// Measures the time of each member.
    pub(crate) clock: Clock<'a>,
    /// How long the leader waits for the others.
    pub(crate) patience: Duration,
}

impl Crew<'_> {
    /// The calling thread alone.
    pub(crate) fn alone(isa: Isa) -> Self {
        Self { isa, together: None }
    }

    /// Computes a window; a team has at most as many members as there are seats.
    pub(crate) fn run<W: WindowPass + Sync>(self, pass: W, seats: &mut [Seat]) {
        let Some(Together { threads, clock, patience }) = self.together else {
            return pass.run_on(self.isa);
        };
        let count = seats.len();
        let team = TimedTeam { team: &pass.team(self.isa, seats), clock };
        threads.gather(&team, count, patience);
    }
}

/// A team whose members' time is measured.
struct TimedTeam<'t> {
    team: &'t dyn AnyTeam,
    clock: Clock<'t>,
}

impl AnyTeam for TimedTeam<'_> {
    fn lead(&self, closes: &dyn Fn(usize) -> bool, idle: Idle<'_>) -> usize {
        let _clock = self.clock.start();
        self.team.lead(closes, idle)
    }

    fn attend(&self, idle: Idle<'_>) {
        let _clock = self.clock.start();
        self.team.attend(idle);
    }
}
