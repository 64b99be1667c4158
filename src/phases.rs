//! Clocks for the phases of a training step. They are off unless a benchmark turns them on. A phase
//! costs two clock reads if they are on, and one branch otherwise.
//!
//! A clock measures work that runs on one thread from start to end, so that nothing is counted
//! twice. If n threads divide a section of the step, a phase's time is the mean of the n threads'
//! times, and the rest of the section's time is waiting. All phases and the waiting add up to the
//! wall time. Each clock also counts the pieces of its phase and the threads that took part in it.

use crate::parallel::{MOST, thread_index};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// A part of a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Reads the next window from the corpus.
    Fill,
    /// Packs the weights.
    Pack,
    /// Computes the input table, or the vectors that the first layer reads.
    Input,
    /// The forward pass of a layer.
    Forward(usize),
    /// Computes the logits.
    Head,
    /// Computes the losses, and the gradients of the logits.
    Loss,
    /// The gradient of the head's input.
    HeadBackward,
    /// The backward pass of a layer: its deltas, and the gradient of its input.
    Backward(usize),
    /// The weight gradients of a layer.
    Gradient(usize),
    /// The weight gradient of the head.
    HeadGradient,
    /// The gradients of the input table, and of the weights that it is computed from.
    InputGradient,
    /// The sum of the gradients of a step's windows, and its norm.
    Norm,
    /// The optimizer's update.
    Update,
}

impl Phase {
    /// Returns all phases of a model, in the order of a step.
    pub(crate) fn all(layers: usize) -> impl Iterator<Item = Self> {
        let before = [Self::Fill, Self::Pack, Self::Input].into_iter();
        let forward = (0..layers).map(Self::Forward);
        let head = [Self::Head, Self::Loss, Self::HeadBackward];
        let backward = (0..layers).rev().map(Self::Backward);
        let gradients = (0..layers).map(Self::Gradient);
        let after = [Self::HeadGradient, Self::InputGradient, Self::Norm, Self::Update];
        before.chain(forward).chain(head).chain(backward).chain(gradients).chain(after)
    }

    /// Returns the index of its clock: those without a layer, then three for each layer.
    fn index(self) -> usize {
        match self {
            Self::Fill => 0,
            Self::Pack => 1,
            Self::Input => 2,
            Self::Head => 3,
            Self::Loss => 4,
            Self::HeadBackward => 5,
            Self::HeadGradient => 6,
            Self::InputGradient => 7,
            Self::Norm => 8,
            Self::Update => 9,
            Self::Forward(l) => Self::PLAIN + 3 * l,
            Self::Backward(l) => Self::PLAIN + 1 + 3 * l,
            Self::Gradient(l) => Self::PLAIN + 2 + 3 * l,
        }
    }

    /// Number of phases without a layer.
    const PLAIN: usize = 10;
}

/// A section of a training step. Its threads wait for each other at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// Inputs, targets and the input table.
    Input,
    /// The forward and backward passes of all layers and of the head.
    Passes,
    /// The weight gradients. The next window is read meanwhile.
    Gradients,
    /// The sum of the gradients of a step's windows, and its norm.
    Norm,
    /// The optimizer's update.
    Update,
    /// Packing.
    Pack,
}

impl Section {
    /// All sections, in the order of a step.
    pub(crate) const ALL: [Self; 6] =
        [Self::Input, Self::Passes, Self::Gradients, Self::Norm, Self::Update, Self::Pack];
}

/// The clocks of a model's training step. The default has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phases(Option<Arc<Clocks>>);

#[derive(Debug)]
struct Clocks {
    phases: Vec<PhaseClock>,
    /// Nanoseconds that a thread waited in each section.
    waited: [AtomicU64; Section::ALL.len()],
    /// Number of threads that divide the current section; 1 outside of one.
    threads: AtomicU64,
    /// Nanoseconds of all phases in the current section.
    within: AtomicU64,
}

/// The measurements of a phase.
#[derive(Debug, Default)]
struct PhaseClock {
    /// Nanoseconds.
    spent: AtomicU64,
    /// Number of pieces, each of which one thread worked on.
    pieces: AtomicU64,
    /// One bit for each thread that took part.
    threads: [AtomicU64; MOST.div_ceil(64)],
}

/// The clock of a phase.
#[derive(Clone, Copy)]
pub(crate) struct Clock<'a>(Option<&'a Clocks>, Phase);

/// A running clock. It stops when dropped.
#[must_use = "a clock stops when it is dropped"]
pub(crate) struct Running<'a>(Option<(&'a Clocks, Phase, Instant)>);

/// A section that threads divide. It ends when dropped.
#[must_use = "a section ends when it is dropped"]
pub(crate) struct OpenSection<'a>(Option<(&'a Clocks, Section, Instant)>);

impl Phases {
    /// No clocks.
    pub(crate) const OFF: Self = Self(None);

    /// Creates the clocks of a model with `layers` layers.
    pub(crate) fn new(layers: usize) -> Self {
        let phases = (0..Phase::PLAIN + 3 * layers).map(|_| PhaseClock::default()).collect();
        let (threads, within) = (AtomicU64::new(1), AtomicU64::new(0));
        Self(Some(Arc::new(Clocks { phases, waited: Default::default(), threads, within })))
    }

    /// Returns the clock of `phase`.
    pub(crate) fn of(&self, phase: Phase) -> Clock<'_> {
        Clock(self.0.as_deref(), phase)
    }

    /// Starts the clock of `phase`. The measured work must not be divided among threads.
    pub(crate) fn time(&self, phase: Phase) -> Running<'_> {
        self.of(phase).start()
    }

    /// Begins a section that `threads` threads divide, unless a section is open already.
    pub(crate) fn section(&self, section: Section, threads: usize) -> OpenSection<'_> {
        let clocks = self.0.as_deref().filter(|clocks| threads > 1 && clocks.threads.load(Relaxed) == 1);
        OpenSection(clocks.map(|clocks| {
            clocks.threads.store(threads as u64, Relaxed);
            clocks.within.store(0, Relaxed);
            (clocks, section, Instant::now())
        }))
    }

    /// Returns the nanoseconds of `phase` since the last `clear`.
    pub(crate) fn spent(&self, phase: Phase) -> u64 {
        self.0.as_ref().map_or(0, |clocks| clocks.phases[phase.index()].spent.load(Relaxed))
    }

    /// Returns the number of threads that took part in `phase` since the last `clear`.
    pub(crate) fn threads(&self, phase: Phase) -> usize {
        let Some(clocks) = &self.0 else { return 0 };
        let words = clocks.phases[phase.index()].threads.iter();
        words.map(|word| word.load(Relaxed).count_ones() as usize).sum()
    }

    /// Returns the number of pieces of `phase` since the last `clear`.
    pub(crate) fn pieces(&self, phase: Phase) -> usize {
        self.0.as_ref().map_or(0, |clocks| clocks.phases[phase.index()].pieces.load(Relaxed) as usize)
    }

    /// Returns the mean nanoseconds that a thread waited in `section`.
    pub(crate) fn waited(&self, section: Section) -> u64 {
        self.0.as_ref().map_or(0, |clocks| clocks.waited[section as usize].load(Relaxed))
    }

    /// Sets all clocks to zero.
    pub(crate) fn clear(&self) {
        let Some(clocks) = &self.0 else { return };
        for PhaseClock { spent, pieces, threads } in &clocks.phases {
            threads.iter().chain([spent, pieces]).for_each(|number| number.store(0, Relaxed));
        }
        clocks.waited.iter().for_each(|waited| waited.store(0, Relaxed));
    }
}

impl<'a> Clock<'a> {
    /// Starts the clock.
    pub(crate) fn start(self) -> Running<'a> {
        Running(self.0.map(|clocks| (clocks, self.1, Instant::now())))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some((clocks, phase, start)) = self.0 {
            let mean = nanoseconds(start) / clocks.threads.load(Relaxed);
            let (clock, thread) = (&clocks.phases[phase.index()], thread_index());
            clock.spent.fetch_add(mean, Relaxed);
            clock.pieces.fetch_add(1, Relaxed);
            clock.threads[thread / 64].fetch_or(1 << (thread % 64), Relaxed);
            clocks.within.fetch_add(mean, Relaxed);
        }
    }
}

impl Drop for OpenSection<'_> {
    fn drop(&mut self) {
        if let Some((clocks, section, start)) = self.0 {
            let waited = nanoseconds(start).saturating_sub(clocks.within.load(Relaxed));
            clocks.waited[section as usize].fetch_add(waited, Relaxed);
            clocks.threads.store(1, Relaxed);
        }
    }
}

fn nanoseconds(start: Instant) -> u64 {
    start.elapsed().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_phase_has_a_clock_of_its_own() {
        for layers in [0, 1, 3] {
            let mut clocks: Vec<usize> = Phase::all(layers).map(Phase::index).collect();
            clocks.sort_unstable();
            assert_eq!(clocks, (0..Phase::PLAIN + 3 * layers).collect::<Vec<_>>());
        }
    }

    #[test]
    fn without_clocks_nothing_is_counted() {
        let phases = Phases::default();
        drop((phases.section(Section::Passes, 2), phases.time(Phase::Forward(7))));
        assert_eq!((phases.spent(Phase::Forward(7)), phases.waited(Section::Passes)), (0, 0));
        assert_eq!(phases.threads(Phase::Forward(7)), 0);
    }

    /// One of two threads works and the other waits: the means are half of the work, and as much
    /// waiting.
    #[test]
    fn work_and_waiting_add_up_to_the_wall_time() {
        let (phases, start) = (Phases::new(1), Instant::now());
        let section = phases.section(Section::Passes, 2);
        drop(phases.section(Section::Pack, 3));
        let clock = phases.time(Phase::Backward(0));
        std::thread::sleep(Duration::from_millis(2));
        drop(clock);
        drop(section);
        let wall = nanoseconds(start);
        let (spent, waited) = (phases.spent(Phase::Backward(0)), phases.waited(Section::Passes));
        assert!(spent >= 1_000_000 && waited >= spent && spent + waited <= wall, "{spent} {waited} {wall}");
        assert_eq!((phases.spent(Phase::Forward(0)), phases.waited(Section::Pack)), (0, 0));
        assert_eq!([Phase::Forward(0), Phase::Backward(0)].map(|phase| phases.threads(phase)), [0, 1]);
        assert_eq!([Phase::Forward(0), Phase::Backward(0)].map(|phase| phases.pieces(phase)), [0, 1]);
        phases.clear();
        assert_eq!((phases.spent(Phase::Backward(0)), phases.waited(Section::Passes)), (0, 0));
        assert_eq!((phases.threads(Phase::Backward(0)), phases.pieces(Phase::Backward(0))), (0, 0));
    }

    #[test]
    fn outside_a_section_all_time_counts_as_work() {
        let phases = Phases::new(1);
        drop(phases.section(Section::Norm, 1));
        let clock = phases.time(Phase::Norm);
        std::thread::sleep(Duration::from_millis(1));
        drop(clock);
        assert!(phases.spent(Phase::Norm) >= 1_000_000 && phases.waited(Section::Norm) == 0);
    }
}
