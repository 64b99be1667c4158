//! Teams: threads that divide the units of a window. Their results have the bits of one thread.

use crate::cases::{CaseSizes, CellCase, KINDS};
use crate::drawn_cases::config;
use crate::drawn_sizes::sizes;
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use unrolled_kernels::Isa;
use unrolled_kernels::pack::{Panels, padded};
use unrolled_kernels::pass::ForwardWindow;
use unrolled_kernels::rnn::{Activation, RnnForward};
use unrolled_kernels::team::{AnyTeam, Seat, WindowPass};
use unrolled_kernels::{Input, WindowShape};

/// Checks both passes on a team against one thread, with all formats of products.
fn check(case: CellCase, members: usize) {
    case.formats().iter().for_each(|case| check_format(case, members));
}

/// Checks one format. NaN and padding are compared too.
pub fn check_format(case: &CellCase, members: usize) {
    let team = CellCase { members, ..case.clone() };
    for isa in case.isas() {
        let (found, expected) = (team.forward(isa), case.forward(isa));
        assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{} by {members}", isa.name());
        if case.has_backward() {
            let (found, expected) = (team.backward(isa, &expected), case.backward(isa, &expected));
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{} by {members}", isa.name());
        }
    }
}

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn a_team_has_the_bits_of_one_thread(sizes in sizes(150), members in 2usize..=7, kind in prop::sample::select(&KINDS[..])) {
        check(CellCase::new(kind, sizes), members);
    }

    #[test]
    fn a_team_takes_rows_that_end_early(sizes in sizes(150), members in 2usize..=5, kind in prop::sample::select(&KINDS[..])) {
        let mut lengths: Vec<usize> = (0..sizes.rows).map(|b| (b * 7 + sizes.seed as usize % 5) % (sizes.steps + 1)).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        check(CellCase::new(kind, sizes).ragged(&lengths), members);
    }
}

#[test]
fn sixteen_members_share_few_and_many_units() {
    for (i, kind) in KINDS.into_iter().enumerate() {
        for hidden in [1, 100, 256, 330] {
            let (width, table) = (if i % 2 == 0 { 24 } else { 0 }, i % 3);
            let sizes = CaseSizes { steps: 3, rows: 9, hidden, width, table, keep: true, offset: 0, seed: 7 };
            check(CellCase::new(kind, sizes), 16);
        }
    }
}

/// The buffers of a small window.
fn with_team(seats: usize, f: impl FnOnce(&dyn AnyTeam)) {
    let (hidden, steps) = (20, 3);
    let panels = Panels::plain(hidden);
    let (recurrent, start) = (vec![0.0; panels.len(hidden)], vec![0.5; padded(hidden)]);
    let mut h = vec![0.0; (1 + steps) * padded(hidden)];
    let window = WindowShape { steps, rows: 1, hidden, keep: true, active: &[] };
    let input = Input { start: &start, ids: None, dense: None };
    let pass = ForwardWindow { window, input, recurrent: &recurrent, h: &mut h, room: &mut [] };
    let mut seats = vec![Seat::default(); seats];
    let pass = RnnForward { pass, activation: Activation::Identity, panels: &panels };
    f(&pass.team(Isa::PORTABLE, &mut seats));
    assert!(h.chunks(padded(hidden)).skip(1).all(|step| step[..hidden].iter().all(|h| *h == 0.5)));
}

#[test]
fn a_closed_team_needs_nobody_else() {
    with_team(4, |team| {
        assert_eq!(team.lead(&|members| members == 1, &|_| ()), 1);
        team.attend(&|_| panic!("a closed team has nothing to wait for"));
    });
}

#[test]
fn a_team_has_one_leader() {
    with_team(1, |team| {
        team.lead(&|_| false, &|_| ());
        assert!(catch_unwind(AssertUnwindSafe(|| team.lead(&|_| false, &|_| ()))).is_err());
    });
}

#[test]
#[should_panic(expected = "a team of 0 seats")]
fn a_team_has_seats() {
    with_team(0, |_| ());
}

/// A member that panics while it waits must not leave the others waiting.
#[test]
fn a_panic_ends_the_team() {
    let came = AtomicBool::new(false);
    let mut ended = [false; 2];
    let [leader, member] = &mut ended;
    let run = || {
        with_team(3, |team| {
            std::thread::scope(|scope| {
                let attend = || {
                    team.attend(&|_| {
                        came.store(true, Ordering::Relaxed);
                        panic!("on purpose")
                    })
                };
                let other = scope.spawn(move || catch_unwind(AssertUnwindSafe(attend)).is_err());
                let lead = || {
                    team.lead(&|_| false, &|_| std::thread::yield_now());
                };
                *leader = catch_unwind(AssertUnwindSafe(lead)).is_err();
                *member = other.join().unwrap();
            });
        })
    };
    _ = catch_unwind(AssertUnwindSafe(run));
    assert!(came.load(Ordering::Relaxed) && ended == [true; 2]);
}
