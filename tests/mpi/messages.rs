//! The messages of ranks, which `mpirun` starts as processes of these tests.

use super::*;
use std::thread;
use unrolled::{Error, mpi::World, train::Ranks};

/// Returns what a rank sends to another one.
fn part(from: usize, to: usize, call: usize) -> Vec<u8> {
    (0..(from * 5 + to * 3 + call) % 29).map(|i| (from * 31 + to * 7 + call + i) as u8).collect()
}

/// Joins parts, and returns their lengths.
fn joined(parts: impl Iterator<Item = Vec<u8>>) -> (Vec<u8>, Vec<usize>) {
    let parts: Vec<_> = parts.collect();
    (parts.concat(), parts.iter().map(Vec::len).collect())
}

fn check(ranks: &dyn Ranks) {
    let (rank, count) = (ranks.rank(), ranks.count());
    for call in 0..60 {
        let expected = part(0, 0, call);
        let mut bytes = if rank == 0 { expected.clone() } else { vec![0; expected.len()] };
        ranks.broadcast(&mut bytes);
        assert_eq!(bytes, expected);
        let (expected, counts) = joined((0..count).map(|from| part(from, 0, call)));
        let mut all = vec![0; expected.len()];
        ranks.all_gather(&part(rank, 0, call), &counts, &mut all);
        assert_eq!(all, expected);
        let (own, counts) = joined((0..count).map(|to| part(rank, to, call)));
        let (expected, received) = joined((0..count).map(|from| part(from, rank, call)));
        let mut all = vec![0; expected.len()];
        ranks.all_to_all(&own, &counts, &mut all, &received);
        assert_eq!(all, expected, "call {call}");
        ranks.all_gather(&[], &vec![0; count], &mut []);
        ranks.all_to_all(&[], &vec![0; count], &mut [], &vec![0; count]);
    }
}

/// Messages of all lengths, on the thread that started MPI and on another one.
#[test]
#[ignore = "mpirun starts it"]
fn rank() {
    let bytes = env::var("LONGEST_MESSAGE").ok().and_then(|bytes| bytes.parse().ok());
    let world = bytes.map_or_else(World::start, World::with_longest_message).expect("MPI");
    assert!(matches!(World::start(), Err(Error::Mpi(_))));
    assert!(world.rank() < world.count() && !World::library().is_empty());
    let ranks = world.ranks();
    check(&*ranks);
    thread::scope(|scope| _ = scope.spawn(|| check(&*ranks)));
}

/// A panic ends the others, which wait for a message.
#[test]
#[ignore = "mpirun starts it"]
fn rank_that_panics() {
    let world = World::start().expect("MPI");
    assert!(world.rank() != 1, "rank one is out of luck");
    world.ranks().broadcast(&mut [0]);
    world.ranks().all_gather(&[0], &vec![1; world.count()], &mut vec![0; world.count()]);
}

fn run(count: usize, test: &str, longest: Option<usize>) -> Ended {
    let mut command = mpirun();
    let program = env::current_exe().expect("this program");
    longest.iter().for_each(|bytes| _ = command.env("LONGEST_MESSAGE", bytes.to_string()));
    command.args(["-n", &count.to_string()]).arg(program);
    command.args([&format!("messages::{test}"), "--exact", "--ignored", "--nocapture"]);
    Home::new().end(command)
}

#[test]
fn bytes_reach_all_ranks_in_the_order_of_ranks() {
    for count in [1, 2, 5] {
        run(count, "rank", None).success();
    }
}

#[test]
fn long_messages_are_cut_into_pieces() {
    // Some parts of an exchange are longer than a piece, others are not; also on the same rank.
    for (count, longest) in [(2, 9), (3, 20), (4, 50)] {
        run(count, "rank", Some(longest)).success();
    }
}

#[test]
fn the_panic_of_a_rank_ends_the_job() {
    let ended = run(3, "rank_that_panics", None);
    assert!(ended.code != Some(0), "{}", ended.stderr);
    let all = ended.stdout + &ended.stderr;
    assert!(all.contains("rank one is out of luck"), "{all}");
}
