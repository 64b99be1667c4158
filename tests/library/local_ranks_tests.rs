//! Tests of the ranks that are threads.

use super::local_ranks::{LocalRanks, run_ranks};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use unrolled::train::Ranks;

/// Returns what a rank sends to another one in a call.
fn part(from: usize, to: usize, call: usize) -> Vec<u8> {
    vec![(from * 31 + to * 7 + call) as u8; (from + 2 * to + call) % 5]
}

/// Joins parts, and returns their lengths.
fn joined(parts: impl Iterator<Item = Vec<u8>>) -> (Vec<u8>, Vec<usize>) {
    let parts: Vec<_> = parts.collect();
    (parts.concat(), parts.iter().map(Vec::len).collect())
}

#[test]
fn bytes_reach_all_ranks_in_the_order_of_ranks() {
    for n in [1, 2, 3, 8] {
        run_ranks(n, |ranks| {
            let rank = ranks.rank();
            assert_eq!(ranks.count(), n);
            for call in 0..50 {
                let mut bytes = if rank == 0 { [call as u8; 9] } else { [0; 9] };
                ranks.broadcast(&mut bytes);
                assert_eq!(bytes, [call as u8; 9]);
                let (expected, counts) = joined((0..n).map(|from| part(from, 0, call)));
                let mut all = vec![0; expected.len()];
                ranks.all_gather(&part(rank, 0, call), &counts, &mut all);
                assert_eq!(all, expected);
                let (own, counts) = joined((0..n).map(|to| part(rank, to, call)));
                let (expected, received) = joined((0..n).map(|from| part(from, rank, call)));
                let mut all = vec![0; expected.len()];
                ranks.all_to_all(&own, &counts, &mut all, &received);
                assert_eq!(all, expected);
            }
        });
    }
}

#[test]
fn the_bytes_to_other_ranks_are_counted() {
    let sent = run_ranks(3, |ranks| {
        ranks.broadcast(&mut [0; 100]);
        let own = vec![0; 10 * (ranks.rank() + 1)];
        ranks.all_gather(&own, &[10, 20, 30], &mut [0; 60]);
        ranks.all_to_all(&[0; 15], &[5; 3], &mut [0; 15], &[5; 3]);
        ranks.sent()
    });
    assert_eq!(sent, [10 * 2 + 10, 20 * 2 + 10, 30 * 2 + 10]);
}

/// Returns the text of the panic of a job of four ranks.
fn panic_of(run: impl Fn(&LocalRanks) + Sync) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| run_ranks(4, |ranks: Arc<LocalRanks>| run(&ranks))));
    let panic = panic.expect_err("the job fails");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&str>().expect("a text").to_string(),
    }
}

#[test]
fn ranks_that_call_different_functions_panic() {
    let text = panic_of(|ranks| match ranks.rank() {
        2 => ranks.all_to_all(&[0; 4], &[1; 4], &mut [0; 4], &[1; 4]),
        _ => ranks.all_gather(&[0], &[1; 4], &mut [0; 4]),
    });
    assert!(text.ends_with("rank 0 is in all_gather, rank 2 in all_to_all"), "{text}");
}

#[test]
fn ranks_that_differ_in_lengths_panic() {
    let text = panic_of(|ranks| ranks.broadcast(&mut vec![0; 3 + ranks.rank() / 3]));
    assert!(text.ends_with("broadcast: rank 0 counts [3], rank 3 [4]"), "{text}");
    let text = panic_of(|ranks| {
        let counts = if ranks.rank() == 1 { [1, 1, 2, 1] } else { [1; 4] };
        ranks.all_gather(&[0], &counts, &mut vec![0; counts.iter().sum()]);
    });
    assert!(text.ends_with("all_gather: rank 0 counts [1, 1, 1, 1], rank 1 [1, 1, 2, 1]"), "{text}");
    let text = panic_of(|ranks| {
        let counts = if ranks.rank() == 1 { [1, 1, 2, 0] } else { [1; 4] };
        ranks.all_to_all(&[0; 4], &counts, &mut [0; 4], &[1; 4]);
    });
    assert!(text.ends_with("all_to_all: rank 1 sends 2 bytes to rank 2, which expects 1"), "{text}");
    let text = panic_of(|ranks| ranks.all_gather(&[0; 2], &[1; 4], &mut [0; 4]));
    assert!(text.contains("all_gather: bytes of its own, and as counted"), "{text}");
}

#[test]
fn the_panic_of_a_rank_ends_all_ranks() {
    let text = panic_of(|ranks| {
        ranks.broadcast(&mut [0]);
        assert!(ranks.rank() != 2, "rank two is out of luck");
        ranks.broadcast(&mut [0]);
    });
    assert_eq!(text, "rank two is out of luck");
}

#[test]
fn a_rank_that_ends_early_ends_all_ranks() {
    let text = panic_of(|ranks| {
        ranks.broadcast(&mut [0]);
        if ranks.rank() != 1 {
            ranks.broadcast(&mut [0]);
        }
    });
    assert!(text.contains("is in broadcast, but rank 1 has ended"), "{text}");
}
