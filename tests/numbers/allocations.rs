//! Repeated steps allocate nothing.
//!
//! The counter counts the calling thread only, so everything here runs on one thread.

use super::{ids, label, model, models};
use allocation_counter::measure;
use unrolled::exec::{Dynamic, Plan, Stream};
use unrolled::{Cell, InputKind, ModelSettings, Settings};

const STEPS: usize = 6;
const SYMBOLS: usize = 40;

/// Counts the allocations of `f`.
pub(super) fn count(f: impl FnOnce()) -> u64 {
    measure(f).count_total
}

#[test]
fn the_counter_counts() {
    assert_eq!(count(|| drop(std::hint::black_box(vec![1u8; 10]))), 1);
    assert_eq!(count(|| ()), 0);
}

#[test]
fn a_step_allocates_nothing_from_the_first_on() {
    for settings in models() {
        let settings = Settings {
            model: ModelSettings { hidden: 19, embedding: Some(7), ..settings.model },
            ..settings
        };
        let model = model(&settings, SYMBOLS);
        let mut stream = Stream::new(model.clone()).unwrap();
        let found = count(|| (0..SYMBOLS as u32).for_each(|id| _ = stream.step(&id).unwrap()));
        assert_eq!(found, 0, "{}", label(&settings));
        let mut fork = stream.clone();
        assert_eq!(count(|| _ = fork.step(&3).unwrap()), 0, "{}: a fork", label(&settings));
    }
}

/// More symbols than an input table has rows for.
#[test]
fn a_step_of_a_large_vocabulary_allocates_nothing() {
    for input in [InputKind::OneHot, InputKind::Embedding] {
        let settings = Settings {
            model: ModelSettings {
                cell: Cell::Lstm,
                hidden: 16,
                input,
                embedding: Some(4),
                ..ModelSettings::default()
            },
            ..Settings::default()
        };
        let model = model(&settings, 70_000);
        let mut stream = Stream::new(model.clone()).unwrap();
        let found = count(|| (69_990..70_000).for_each(|id| _ = stream.step(&id).unwrap()));
        assert_eq!(found, 0, "{}", input.name());
    }
}

#[test]
fn windows_allocate_nothing_while_shapes_repeat() {
    for settings in models() {
        let settings = Settings {
            model: ModelSettings { hidden: 19, embedding: Some(7), ..settings.model },
            ..settings
        };
        let (model, ids) = (model(&settings, SYMBOLS), ids(2, STEPS * 3, SYMBOLS));
        let mut logits = vec![0.0; ids.len() * SYMBOLS];
        let mut plan = Plan::new(model.clone(), STEPS, 3, Some(1)).unwrap();
        let mut dynamic = Dynamic::new(model.clone(), Some(1)).unwrap();
        plan.forward(&ids, &mut logits).unwrap();
        dynamic.forward(&ids, 3, &mut logits).unwrap();
        assert_eq!(count(|| plan.forward(&ids, &mut logits).unwrap()), 0, "{}: planned", label(&settings));
        assert_eq!(
            count(|| dynamic.forward(&ids, 3, &mut logits).unwrap()),
            0,
            "{}: dynamic",
            label(&settings)
        );
    }
}
