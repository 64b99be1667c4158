//! Evaluations of runs that are divided among ranks.

use super::local_ranks::run_ranks;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use unrolled::{
    Error, ModelSettings, RunSettings, Settings, Unit,
    corpus::Corpus,
    train::{Ranks, Training},
};

fn training() -> Training {
    let text: String = (0..9000u32).map(|n| char::from(97 + (n * n % 23 + n / 900) as u8)).collect();
    let run = RunSettings {
        batch: 2,
        steps: 5,
        accumulate: 20,
        max_steps: Some(4),
        eval_every: Some(2),
        ..RunSettings::default()
    };
    let settings = Settings { model: ModelSettings::gru(17), run, ..Settings::default() };
    Training::new(Corpus::from_text(text, Unit::Char).unwrap(), settings, Some(1)).unwrap()
}

/// Runs `lead` on rank 0 of a divided run. The flag of rank `interrupted` can be set.
fn lead<R: Send>(
    count: usize,
    interrupted: usize,
    lead: impl Fn(&mut Training, &AtomicBool) -> R + Sync,
) -> R {
    let flag = Arc::new(AtomicBool::new(false));
    let results = run_ranks(count, |ranks| {
        let rank = ranks.rank();
        let mut training = training().divide(ranks).unwrap();
        if rank == interrupted {
            training.interrupt_by(Arc::clone(&flag));
        }
        match rank {
            0 => Some(lead(&mut training, &flag)),
            _ => {
                training.follow();
                None
            }
        }
    });
    results.into_iter().flatten().next().unwrap()
}

/// Returns the records without times.
fn records(training: &Training) -> Vec<(u64, Option<[u64; 2]>)> {
    let bits = |loss: f64, accuracy: f64| [loss.to_bits(), accuracy.to_bits()];
    let records = training.progress().history.iter();
    records
        .map(|record| (record.step, record.val_loss.zip(record.val_accuracy).map(|(l, a)| bits(l, a))))
        .collect()
}

#[test]
fn records_and_evaluations_have_the_bits_of_one_process() {
    let run = |training: &mut Training, _: &AtomicBool| {
        let before = training.evaluate().unwrap();
        (0..4).for_each(|_| _ = training.step().unwrap());
        (before, training.evaluate().unwrap(), records(training))
    };
    let alone = run(&mut training(), &AtomicBool::new(false));
    assert!(alone.1.is_some() && alone.2.len() == 2);
    // There are 16 streams: some of 20 ranks have none.
    for count in [2, 3, 5, 20] {
        assert!(lead(count, 0, run) == alone, "{count} ranks");
    }
}

#[test]
fn an_evaluation_that_one_rank_interrupts_is_rerun_at_the_next_step() {
    let mut alone = training();
    (0..4).for_each(|_| _ = alone.step().unwrap());
    for interrupted in 0..3 {
        let found = lead(3, interrupted, |training, flag| {
            (0..3).for_each(|_| _ = training.step().unwrap());
            flag.store(true, Ordering::Relaxed);
            assert!(matches!(training.evaluate(), Err(Error::Interrupted)));
            assert!(matches!(training.step(), Err(Error::Interrupted)));
            flag.store(false, Ordering::Relaxed);
            assert!(training.step().unwrap().record.is_some());
            records(training)
        });
        assert_eq!(found, records(&alone), "rank {interrupted}");
    }
}
