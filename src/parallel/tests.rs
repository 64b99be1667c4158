//! Pools, their users, and the threads of a call.

use super::pool::POOLS;
use super::*;
use std::sync::{Barrier, Mutex};

/// The barrier opens only when sixteen threads wait at once.
#[test]
fn sixteen_threads_work_at_the_same_time_on_any_machine() {
    let (threads, all) = (Threads::start(16, 16).unwrap(), Barrier::new(16));
    threads.enter(SMALL + 1, || threads.each(&mut [(); 16], &|()| _ = all.wait()));
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn all_threads_take_denormal_numbers_for_zero() {
    let half = || std::hint::black_box(f32::MIN_POSITIVE) * std::hint::black_box(0.5);
    let (threads, all) = (Threads::start(12, 12).unwrap(), Barrier::new(12));
    let mut halves = [1.0; 12];
    let fill = |found: &mut f32| {
        all.wait();
        *found = half();
    };
    threads.enter(SMALL + 1, || threads.each(&mut halves, &fill));
    assert_eq!(halves, [0.0; 12]);
    assert_eq!((threads.enter(1, half), Threads::CALLING.enter(1, half)), (0.0, 0.0));
    assert!(half() > 0.0);
}

#[test]
fn one_thread_works_alone_inside_and_outside_of_enter_until_it_ends_or_panics() {
    let threads = Threads::start(4, 4).unwrap();
    let at_work = || threads.enter(SMALL + 1, || threads.at_work());
    assert_eq!((at_work(), Workers::One.run(at_work), at_work()), (4, 1, 4));
    threads.enter(SMALL + 1, || {
        assert_eq!((threads.at_work(), Workers::One.run(at_work), at_work()), (4, 1, 4));
        let panics = || Workers::One.run(|| panic!("on purpose"));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(at_work(), 4);
    });
}

#[test]
fn calls_inside_of_a_call_have_its_workers() {
    let trials = Some(Arc::new(Mutex::new(Trials::new(3))));
    let threads = Threads { trials, ..Threads::start(3, 3).unwrap() };
    let count = || threads.adapt(SMALL + 1, || threads.adapt(SMALL + 2, || threads.at_work()));
    assert_eq!(count(), 3);
    assert_eq!(Workers::One.run(count), 1);
    threads.enter(SMALL + 1, || assert_eq!(count(), 3));
    assert_eq!(threads.adapt(1, || threads.at_work()), 1);
}

/// Tests run in parallel: each uses another number of threads, and so another pool.
fn pool(threads: &Threads) -> &Arc<Pool> {
    threads.pool.as_ref().unwrap()
}

#[test]
fn users_of_the_same_number_of_threads_share_a_pool_until_the_last_ends() {
    let (one, two, other) = (Threads::start(5, 5), Threads::start(5, 5), Threads::start(6, 6));
    let (one, two, other) = (one.unwrap(), two.unwrap(), other.unwrap());
    assert!(Arc::ptr_eq(pool(&one), pool(&two)) && !Arc::ptr_eq(pool(&one), pool(&other)));
    let weak = Arc::downgrade(pool(&one));
    drop(one);
    assert!(weak.upgrade().is_some());
    drop(two);
    assert!(weak.upgrade().is_none());
    Threads::start(5, 5).unwrap().enter(SMALL + 1, || ());
}

/// The parent's pools have no threads in the child: work in them would wait forever.
#[test]
fn a_forked_process_uses_no_pool_of_its_parent() {
    let mut inherited = Pool::start(7).unwrap();
    inherited.process = std::process::id() + 1;
    let inherited = Arc::new(inherited);
    locked(&POOLS).push(Arc::downgrade(&inherited));
    assert!(!Arc::ptr_eq(pool(&Threads::start(7, 7).unwrap()), &inherited));
    let threads = Threads { pool: Some(inherited), count: 7, divide: None, trials: None };
    let mut items = [1, 2, 3];
    let ran_on = threads.enter(SMALL + 1, || {
        threads.each(&mut items, &|item| *item += 1);
        std::thread::current().id()
    });
    assert_eq!((ran_on, items), (std::thread::current().id(), [2, 3, 4]));
}

/// Many more callers than threads, each with divided work: all finish, with their own results.
#[test]
fn many_callers_share_one_pool() {
    let threads = Threads::start(11, 11).unwrap();
    let sum = |caller: u64| {
        let mut parts: Vec<u64> = (0..64).map(|n| caller * 1000 + n).collect();
        threads.enter(SMALL + 1, || threads.each(&mut parts, &|part| *part = part.wrapping_mul(*part)));
        parts.into_iter().sum::<u64>()
    };
    std::thread::scope(|scope| {
        for caller in 0..40u64 {
            let sum = &sum;
            scope.spawn(move || {
                let expected = (0..64).map(|n| (caller * 1000 + n).pow(2)).sum::<u64>();
                (0..20).for_each(|_| assert_eq!(sum(caller), expected));
            });
        }
    });
    assert_eq!(*locked(&pool(&threads).free), 11);
}

#[test]
fn pools_nest_and_a_panic_lets_others_enter() {
    let (outer, inner) = (Threads::start(9, 9).unwrap(), Threads::start(10, 10).unwrap());
    let run = || outer.enter(SMALL + 1, || inner.enter(SMALL + 1, || outer.enter(SMALL + 1, || 7)));
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
        runs.into_iter().for_each(|run| assert_eq!(run.join().unwrap(), 7));
    });
    let panicked = std::panic::AssertUnwindSafe(|| outer.enter(SMALL + 1, || panic!("on purpose")));
    assert!(std::panic::catch_unwind(panicked).is_err());
    assert_eq!(*locked(&pool(&outer).free), 9);
}

/// The last user may be dropped on a thread of the pool, which must not wait for itself.
#[test]
fn the_last_user_may_be_dropped_on_a_thread_of_the_pool() {
    let threads = Threads::start(8, 8).unwrap();
    let weak = Arc::downgrade(pool(&threads));
    let held = Mutex::new(Some(threads.clone()));
    let (gone, wait) = std::sync::mpsc::channel();
    pool(&threads).threads.spawn({
        let last = locked(&held).take();
        let weak = weak.clone();
        move || {
            while weak.strong_count() > 1 {
                std::thread::yield_now();
            }
            drop(last);
            gone.send(weak.strong_count()).unwrap();
        }
    });
    drop(threads);
    assert_eq!(wait.recv().unwrap(), 0);
}
