//! The splits of a corpus: training, validation and test.

use crate::{Error, Result};
use std::ops::Range;

/// The contiguous splits of a corpus, as ranges of symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The first floor(n (1 - val - test)) symbols.
    pub train: Range<usize>,
    /// The symbols from there to the test split.
    pub validation: Range<usize>,
    /// The last symbols, from floor(n (1 - test)) on.
    pub test: Range<usize>,
}

impl Split {
    /// Splits `n` symbols. Fractions that leave nothing to train on are an error.
    pub(super) fn new(n: usize, val: f64, test: f64) -> Result<Self> {
        for (name, fraction) in [("val-fraction", val), ("test-fraction", test)] {
            if !(0.0..1.0).contains(&fraction) {
                let expected = "it must be at least 0 and below 1";
                return Err(Error::setting(name, fraction, expected));
            }
        }
        if val + test >= 1.0 {
            let expected =
                format!("with test-fraction = {test} nothing is left to train on; lower one of them");
            return Err(Error::setting("val-fraction", val, expected));
        }
        let train = share(n, 1.0 - val - test);
        let end = share(n, 1.0 - test);
        Ok(Self { train: 0..train, validation: train..end, test: end..n })
    }

    /// Moves the borders of the splits to starts of documents (in symbols, ascending, the first at
    /// 0): each to the nearest one that leaves every split at least one document.
    pub(super) fn at_documents(self, starts: &[usize]) -> Result<Self> {
        let Self { train, validation, test } = self;
        let (held, tested) = (!validation.is_empty(), !test.is_empty());
        let splits = 1 + usize::from(held) + usize::from(tested);
        if starts.len() < splits {
            let expected = format!(
                "the text has {} where {splits} splits need one each; take split-by = tail, name more files, or give the \
                 document-marker that ends a document within a file",
                counted(starts.len())
            );
            return Err(Error::setting("split-by", "document", expected));
        }
        let n = test.end;
        let last = starts.len();
        // Indices into `starts`: each leaves a document before it, and one for every split after
        // it.
        let train_end = match splits {
            1 => last,
            _ => nearest(starts, train.end).clamp(1, last + 1 - splits),
        };
        let end = match (held, tested) {
            (_, false) => last,
            (false, true) => train_end,
            (true, true) => nearest(starts, validation.end).clamp(train_end + 1, last - 1),
        };
        let [train_end, end] = [train_end, end].map(|at| starts.get(at).copied().unwrap_or(n));
        Ok(Self { train: 0..train_end, validation: train_end..end, test: end..n })
    }
}

/// The index of the number nearest to `wanted` in an ascending list.
fn nearest(numbers: &[usize], wanted: usize) -> usize {
    let after = numbers.partition_point(|&number| number < wanted);
    let distance = |at: usize| numbers.get(at).map_or(usize::MAX, |number| number.abs_diff(wanted));
    if after > 0 && distance(after - 1) <= distance(after) { after - 1 } else { after }
}

fn counted(documents: usize) -> String {
    if documents == 1 { "1 document".into() } else { format!("{documents} documents") }
}

/// floor(n fraction) for the exact fraction: 10 (1 - 0.7 - 0.1) is 2, although it is slightly less
/// in f64.
fn share(n: usize, fraction: f64) -> usize {
    let product = n as f64 * fraction;
    let whole = product.round();
    let rounding = 4.0 * f64::EPSILON * n as f64;
    if (product - whole).abs() <= rounding { whole as usize } else { product as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_contiguous_and_rounded_down() {
        let split = |n, val, test| {
            let s = Split::new(n, val, test).unwrap();
            assert_eq!(
                (s.train.start, s.train.end, s.validation.end, s.test.end),
                (0, s.validation.start, s.test.start, n)
            );
            (s.train.len(), s.validation.len(), s.test.len())
        };
        assert_eq!(split(10, 0.1, 0.0), (9, 1, 0));
        assert_eq!(split(10, 0.7, 0.1), (2, 7, 1));
        assert_eq!(split(11, 0.1, 0.1), (8, 1, 2));
        assert_eq!(split(1, 0.1, 0.0), (0, 1, 0));
        assert_eq!(split(0, 0.1, 0.1), (0, 0, 0));
        assert_eq!(split(7, 0.0, 0.0), (7, 0, 0));
        assert_eq!(split(1_115_394, 0.1, 0.0), (1_003_854, 111_540, 0));
    }

    #[test]
    fn every_hundredth_gives_the_floor_of_exact_arithmetic() {
        for n in [10, 99, 100, 1000, 12_345, 1_000_000_007] {
            for val in 0..100 {
                for test in 0..100 - val {
                    let split = Split::new(n, val as f64 / 100.0, test as f64 / 100.0).unwrap();
                    assert_eq!(split.train.len(), n * (100 - val - test) / 100, "{n} {val} {test}");
                    assert_eq!(split.validation.end, n * (100 - test) / 100, "{n} {val} {test}");
                }
            }
        }
    }

    #[test]
    fn borders_move_to_the_nearest_documents() {
        let split = |starts: &[usize], val, test| {
            let s = Split::new(100, val, test).unwrap().at_documents(starts).unwrap();
            assert_eq!((s.train.start, s.train.end, s.validation.end), (0, s.validation.start, s.test.start));
            (s.train.end, s.validation.end, s.test.end)
        };
        assert_eq!(split(&[0, 30, 60, 88, 95], 0.1, 0.0), (88, 100, 100));
        assert_eq!(split(&[0, 30, 60, 88, 95], 0.1, 0.1), (88, 95, 100));
        assert_eq!(split(&[0, 30, 60], 0.1, 0.1), (30, 60, 100));
        assert_eq!(split(&[0, 2], 0.1, 0.0), (2, 100, 100));
        assert_eq!(split(&[0, 99], 0.9, 0.0), (99, 100, 100));
        assert_eq!(split(&[0, 50, 99], 0.0, 0.3), (50, 50, 100));
        assert_eq!(split(&[0], 0.0, 0.0), (100, 100, 100));
        let message = Split::new(100, 0.1, 0.1).unwrap().at_documents(&[0, 50]).unwrap_err().to_string();
        assert_eq!(
            message,
            "split-by = document is invalid: the text has 2 documents where 3 splits need one each; \
             take split-by = tail, name more files, or give the document-marker that ends a document within a file"
        );
    }

    #[test]
    fn impossible_fractions_are_refused_by_name() {
        let message = |val, test| Split::new(10, val, test).unwrap_err().to_string();
        assert_eq!(message(1.0, 0.0), "val-fraction = 1 is invalid: it must be at least 0 and below 1");
        assert!(message(-0.1, 0.0).starts_with("val-fraction = -0.1 is invalid"));
        assert!(message(f64::NAN, 0.0).starts_with("val-fraction = NaN is invalid"));
        assert!(message(0.1, f64::INFINITY).starts_with("test-fraction = inf is invalid"));
        assert_eq!(
            message(0.5, 0.5),
            "val-fraction = 0.5 is invalid: with test-fraction = 0.5 nothing is left to train on; lower one of them"
        );
    }
}
