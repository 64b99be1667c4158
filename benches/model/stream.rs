//! One symbol at a time, compared with the time to read the weights once.

use crate::measure::{Group, Peaks, Work};
use crate::shapes::{SHAPES, VOCABULARY};
use criterion::Criterion;
use std::sync::Arc;
use unrolled::bench::read_gigabytes_per_second;
use unrolled::exec::{Dynamic, Stream};
use unrolled::model::Model;
use unrolled::{Cell, InputKind};

/// Layers and hidden units H.
const SIZES: [(usize, usize); 5] = [(1, 16), (1, 100), (2, 128), (1, 512), (2, 512)];

pub fn run(criterion: &mut Criterion, peaks: &mut Peaks) {
    let mut group = Group::new(criterion, peaks, "one step");
    for (cell, (layers, hidden)) in [Cell::Lstm, Cell::Gru].into_iter().flat_map(|c| SIZES.map(|s| (c, s))) {
        let shape = crate::shapes::Shape { cell, layers, hidden, input: InputKind::Embedding, ..SHAPES[0] };
        let model = Arc::new(shape.model());
        let id = format!("{} {layers}x{hidden}", cell.name());
        let prepare = || (checked(&model), 0);
        let arithmetic = shape.arithmetic();
        let best = group.time(&id, Work::of(arithmetic.forward), prepare, |(stream, id)| {
            *id = (*id + 7) % VOCABULARY as u32;
            stream.step(&*id).expect("an id of the vocabulary");
        });
        let Some(seconds) = best else { continue };
        let bytes = arithmetic.weight_bytes();
        let read = read_gigabytes_per_second(bytes as usize).expect("an instruction set");
        println!(
            "    {id}: {:.2} times what reading its {:.0} KiB of weights takes at {read:.0} GB/s",
            seconds * 1e9 * read / bytes,
            bytes / 1024.0
        );
    }
}

/// A stream whose first logits are those of a window.
fn checked(model: &Arc<Model>) -> Stream {
    let ids = [3, 1, 4, 1, 5];
    let mut logits = vec![0.0; ids.len() * VOCABULARY];
    let mut dynamic = Dynamic::new(model.clone(), Some(1)).expect("one thread");
    dynamic.forward(&ids, 1, &mut logits).expect("ids of the vocabulary");
    let mut stream = Stream::new(model.clone()).expect("an instruction set");
    for (id, expected) in ids.into_iter().zip(logits.chunks_exact(VOCABULARY)) {
        let found = stream.step(&id).expect("an id of the vocabulary");
        let same = found.iter().zip(expected).all(|(f, e)| f.to_bits() == e.to_bits());
        assert!(same, "the stream differs from a window in its logits");
    }
    stream
}
