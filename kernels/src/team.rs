//! A team: several threads that compute one pass over a window together, each some of its units.
//!
//! ```text
//! leader   waits for others, closes the team   units 0..   | meet | units 0..   | meet | ...
//! member   takes a seat, waits for the close   units 16..  | meet | units 16..  | meet | ...
//! ```
//!
//! 1. A member computes the same blocks of sixteen units in all steps, so its part of the weights
//!    stays in its own caches. A unit of a step needs all units of the step before, so all members
//!    meet after each step.
//! 2. The leader closes the team with the members that have come by then. A thread that comes later
//!    does nothing. So nobody ever waits for a thread that may not run.
//! 3. Members meet by the dissemination algorithm ([Hensgen et al. 1988]): in round r, member m
//!    signals member m + 2^r, and waits for the signal of member m - 2^r.
//! 4. This crate starts no threads. The caller brings them, and decides how they wait.
//!
//! [Hensgen et al. 1988]: https://doi.org/10.1007/BF01379320

use crate::isa::Isa;
use crate::pack::padded;
use crate::simd::{Kernel, Simd};
use core::cell::Cell;
use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The most members of a team: 2 to the power of the rounds.
pub const MOST_MEMBERS: usize = 1 << ROUNDS;
const ROUNDS: usize = 10;
/// The bit of a team's state that says that the number of its members is final.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// The place where one member of a team receives signals. It shares no cache line with others.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Seat {
    /// For each round: the number of meetings for which the signal has come.
    signals: [AtomicU64; ROUNDS],
}

impl Clone for Seat {
    /// Returns a seat without signals, because a clone belongs to another team.
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// How a thread waits: called again and again, with the number of calls before.
pub type Idle<'w> = &'w (dyn Fn(u32) + Sync);

/// One member, and its part of the work.
pub struct Member<'t> {
    index: usize,
    count: usize,
    seats: &'t [Seat],
    idle: Idle<'t>,
    broken: &'t AtomicBool,
    /// The number of meetings so far.
    met: Cell<u64>,
}

impl Member<'_> {
    /// Returns the blocks of sixteen units that this member computes.
    #[inline(always)]
    pub(crate) fn blocks(&self, hidden: usize) -> Range<usize> {
        let blocks = padded(hidden) / 16;
        blocks * self.index / self.count..blocks * (self.index + 1) / self.count
    }

    /// Returns the rows of a step that this member rounds.
    #[inline(always)]
    pub(crate) fn rows(&self, rows: usize) -> Range<usize> {
        rows * self.index / self.count..rows * (self.index + 1) / self.count
    }

    /// Waits until all members are here. What they wrote before is then visible.
    #[inline(always)]
    pub(crate) fn meet(&self) {
        if self.count > 1 {
            self.meet_others();
        }
    }

    #[inline(never)]
    fn meet_others(&self) {
        let met = self.met.get() + 1;
        self.met.set(met);
        let rounds = (0..ROUNDS).take_while(|round| 1 << round < self.count);
        for round in rounds {
            let to = &self.seats[(self.index + (1 << round)) % self.count];
            to.signals[round].store(met, Ordering::Release);
            let own = &self.seats[self.index].signals[round];
            wait(self.idle, self.broken, || own.load(Ordering::Acquire) >= met);
        }
    }
}

/// Waits until `done`.
///
/// # Panics
/// If another member has panicked.
fn wait(idle: Idle<'_>, broken: &AtomicBool, mut done: impl FnMut() -> bool) {
    let mut round = 0;
    while !done() {
        assert!(!broken.load(Ordering::Relaxed), "another thread of the team has panicked");
        idle(round);
        round = round.saturating_add(1);
    }
}

/// A pass with checked buffers, of which several members compute their blocks of units.
pub trait SharedPass {
    /// Computes the member's blocks of all steps, and meets the others after each phase of a step.
    ///
    /// # Safety
    /// The lengths of all buffers were checked, and nobody else uses them. All members run this at
    /// the same time, each index once.
    unsafe fn run<S: Simd>(&self, s: S, member: &Member<'_>);
}

/// A pass over a window that one thread or a team can compute.
pub trait WindowPass: Sized {
    /// The pass with its buffers as places. It uses the buffers as long as the pass lives.
    #[doc(hidden)]
    type Shared: SharedPass;

    /// Returns the number of batch rows.
    #[doc(hidden)]
    fn rows(&self) -> usize;

    /// Checks all lengths for the kernels of `isa`.
    #[doc(hidden)]
    fn share(self, isa: Isa) -> Self::Shared;

    /// Computes the window on the calling thread.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    fn run_on(self, isa: Isa) {
        let rows = self.rows();
        isa.run_words(rows, Alone(self.share(isa)));
    }

    /// Returns a team with a seat for each member. Its results have the bits of `run_on`.
    ///
    /// # Panics
    /// If a slice has the wrong length, or there are no seats, or more than [`MOST_MEMBERS`].
    fn team(self, isa: Isa, seats: &mut [Seat]) -> Team<'_, Self>
    where
        Self: Sync,
    {
        assert!((1..=MOST_MEMBERS).contains(&seats.len()), "a team of {} seats", seats.len());
        for signal in seats.iter_mut().flat_map(|seat| &mut seat.signals) {
            *signal.get_mut() = 0;
        }
        let rows = self.rows();
        let [led, broken] = [false; 2].map(AtomicBool::new);
        Team { isa, rows, pass: self.share(isa), seats, state: AtomicUsize::new(1), led, broken }
    }
}

/// A pass on the calling thread.
struct Alone<P>(P);

impl<P: SharedPass> Kernel for Alone<P> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let broken = AtomicBool::new(false);
        let member =
            Member { index: 0, count: 1, seats: &[], idle: &|_| (), broken: &broken, met: Cell::new(0) };
        // SAFETY: `WindowPass::share` has checked every length. The pass borrows its buffers, and
        // this is the only member.
        unsafe { self.0.run(s, &member) }
    }
}

/// A pass on one member of a team.
struct Together<'m, P>(&'m P, &'m Member<'m>);

impl<P: SharedPass> Kernel for Together<'_, P> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // SAFETY: `WindowPass::share` has checked every length, and the team borrows the buffers.
        // Each seat is taken once, and only before the team is closed, so all members run.
        unsafe { self.0.run(s, self.1) }
    }
}

/// The threads that compute one pass. One of them calls `lead`, the others call `attend`.
pub struct Team<'t, W: WindowPass> {
    isa: Isa,
    rows: usize,
    pass: W::Shared,
    seats: &'t [Seat],
    /// The number of members, and `CLOSED` if it is final.
    state: AtomicUsize,
    led: AtomicBool,
    /// True if a member has panicked.
    broken: AtomicBool,
}

// SAFETY: members write only their own blocks of units. They read other blocks only of steps that
// all members have left behind, after a meeting. Each seat is taken once.
unsafe impl<W: WindowPass + Sync> Sync for Team<'_, W> {}

impl<W: WindowPass> fmt::Debug for Team<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Team").field("seats", &self.seats.len()).field("state", &self.state).finish()
    }
}

/// A team of any pass.
pub trait AnyTeam: Sync {
    /// Waits for others, closes the team when all seats are taken or `closes` says so for a number
    /// of members, and computes its part. Returns the number of members. Other members may still be
    /// at work then.
    ///
    /// # Panics
    /// If the team has been led before, or if a member has panicked.
    fn lead(&self, closes: &dyn Fn(usize) -> bool, idle: Idle<'_>) -> usize;

    /// Takes a seat and computes the part of that member. Does nothing if the team is closed.
    ///
    /// # Panics
    /// If a member has panicked.
    fn attend(&self, idle: Idle<'_>);
}

impl<W: WindowPass + Sync> AnyTeam for Team<'_, W> {
    fn lead(&self, closes: &dyn Fn(usize) -> bool, idle: Idle<'_>) -> usize {
        assert!(!self.led.swap(true, Ordering::Relaxed), "a team has one leader");
        let _breaks = BreaksTeam(&self.broken);
        let come = || self.state.load(Ordering::Relaxed);
        wait(idle, &self.broken, || come() == self.seats.len() || closes(come()));
        let count = self.state.fetch_or(CLOSED, Ordering::AcqRel);
        self.compute(0, count, idle);
        count
    }

    fn attend(&self, idle: Idle<'_>) {
        let open = |state: usize| state & CLOSED == 0 && state < self.seats.len();
        let enter = |state| open(state).then_some(state + 1);
        let entered = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter);
        let Ok(index) = entered else { return };
        let _breaks = BreaksTeam(&self.broken);
        let state = || self.state.load(Ordering::Acquire);
        wait(idle, &self.broken, || state() & CLOSED != 0);
        self.compute(index, state() & !CLOSED, idle);
    }
}

impl<W: WindowPass> Team<'_, W> {
    /// Computes the part of a member. Only `lead` and `attend` call this, once for each seat.
    fn compute(&self, index: usize, count: usize, idle: Idle<'_>) {
        let (seats, broken, met) = (self.seats, &self.broken, Cell::new(0));
        let member = Member { index, count, seats, idle, broken, met };
        self.isa.run_words(self.rows, Together(&self.pass, &member));
    }
}

/// Marks the team as broken if its thread panics, so that the others do not wait for it.
struct BreaksTeam<'t>(&'t AtomicBool);

impl Drop for BreaksTeam<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
