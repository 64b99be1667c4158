//! Training on a mapped file compared with training on a few random symbols in memory. Their steps
//! alternate.

use crate::measure::{Group, Peaks, Work, only_tests};
use crate::shapes::{SHAPES, Shape, VOCABULARY};
use criterion::Criterion;
use std::{array, fs, time::Instant};
use tempfile::TempDir;
use unrolled::corpus::{Corpus, CorpusOptions};
use unrolled::random::{DrawPurpose, Draws};
use unrolled::train::Training;
use unrolled::{Mode, Unit};

/// Symbols of a file, many more than any cache holds.
const SYMBOLS: usize = 1 << 26;
/// A name, and a symbol that replaces the last one: of one byte, so that the file is read in place,
/// or of two bytes, so that characters are found by an index of their offsets.
const KINDS: [(&str, char); 2] = [("ASCII", 'a'), ("UTF-8", '\u{e9}')];

pub fn run(criterion: &mut Criterion, peaks: &mut Peaks) {
    let mut group = Group::new(criterion, peaks, "texts");
    for shape in [SHAPES[0], SHAPES[4]] {
        for (name, last) in KINDS {
            let (id, mut best) = (format!("{name}, {}", shape.name), [f64::INFINITY; 2]);
            let prepare = || Pair::new(&shape, last);
            let timed = group.time(&id, Work::of(0.0), prepare, |pair| pair.step(&mut best));
            if timed.is_some() {
                println!(
                    "    {id}: a step from the file takes {:.3} times one from memory",
                    best[0] / best[1]
                );
            }
        }
    }
}

/// A run on the file, and one on text in memory.
struct Pair {
    training: [Training; 2],
    _folder: TempDir,
}

impl Pair {
    /// Checks that the first loss of the mapped text equals that of the same text in memory.
    fn new(shape: &Shape, last: char) -> Self {
        let (folder, text) = (tempfile::tempdir().expect("a temporary folder"), text(last));
        let path = folder.path().join("text");
        fs::write(&path, &text).expect("room for a file");
        let mapped = CorpusOptions::default().open(&[path]).expect("a text");
        let begin = |corpus: Corpus| shape.training(corpus, Mode::Static, 1);
        let mut training = [mapped, shape.corpus()].map(begin);
        let same = Corpus::from_text(text, Unit::Char).expect("a text");
        let losses = [&mut training[0], &mut begin(same)].map(|run| run.step().expect("a finite loss").loss);
        assert_eq!(losses[0].to_bits(), losses[1].to_bits(), "a mapped text reads as it does in memory");
        Self { training, _folder: folder }
    }

    fn step(&mut self, best: &mut [f64; 2]) {
        let took: [f64; 2] = array::from_fn(|at| {
            let start = Instant::now();
            self.training[at].step().expect("a finite loss");
            start.elapsed().as_secs_f64()
        });
        best.iter_mut().zip(took).for_each(|(best, took)| *best = best.min(took));
    }
}

fn text(last: char) -> String {
    let count = if only_tests() { SYMBOLS >> 8 } else { SYMBOLS };
    let mut draws = Draws::new(1, DrawPurpose::Sample, 0, 0);
    let symbols: Vec<char> = ('!'..).take(VOCABULARY - 1).chain([last]).collect();
    (0..count).map(|_| symbols[(draws.uniform_f64() * VOCABULARY as f64) as usize]).collect()
}
