//! The index of each token of a window in the forward and in the backward direction.

use crate::exec::{Order, OutputSteps, Window};

/// The shape of a window that a forward and a backward direction read.
///
/// The window of the backward direction is time-major. It has the steps of each row in reverse
/// order, from the row's own last step to its first; padding stays where it is.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    /// Number of steps T.
    pub(super) steps: usize,
    /// Number of batch rows B.
    pub(super) rows: usize,
    order: Order,
    output_steps: OutputSteps,
    /// `[B]`: the number of steps of each row.
    lengths: Vec<usize>,
}

impl Mirror {
    /// Takes the shape of a window.
    pub(super) fn set(&mut self, window: &Window<'_>) {
        let Window { steps, rows, order, output_steps, lengths, .. } = *window;
        (self.steps, self.rows) = (steps, rows);
        (self.order, self.output_steps) = (order, output_steps);
        self.lengths.clear();
        match lengths {
            Some(lengths) => self.lengths.extend_from_slice(lengths),
            None => self.lengths.resize(rows, steps),
        }
    }

    /// Number of tokens, padding included.
    pub(super) fn tokens(&self) -> usize {
        self.steps * self.rows
    }

    /// Number of tokens that the outputs have room for.
    pub(super) fn output_tokens(&self) -> usize {
        match self.output_steps {
            OutputSteps::Every => self.tokens(),
            OutputSteps::Last => self.rows,
        }
    }

    /// Returns the index in the caller's window of a token of the backward direction.
    pub(super) fn source(&self, mirrored: usize) -> usize {
        let (step, row) = (mirrored / self.rows, mirrored % self.rows);
        self.index(self.reverse(step, row), row)
    }

    /// Returns the index in the window of the backward direction of a token of the caller.
    pub(super) fn mirrored(&self, index: usize) -> usize {
        let (step, row) = self.order.token([self.steps, self.rows], index);
        self.reverse(step, row) * self.rows + row
    }

    /// Returns the index in the caller's window of the token whose output has index `output` in the
    /// caller's outputs; `None` for a row without steps.
    pub(super) fn token_of(&self, output: usize) -> Option<usize> {
        match self.output_steps {
            OutputSteps::Every => Some(output),
            OutputSteps::Last => self.lengths[output].checked_sub(1).map(|step| self.index(step, output)),
        }
    }

    /// Returns the index in the caller's outputs of a token of the caller; `None` if it has none.
    pub(super) fn output_of(&self, index: usize) -> Option<usize> {
        let (step, row) = self.order.token([self.steps, self.rows], index);
        match self.output_steps {
            OutputSteps::Every => Some(index),
            OutputSteps::Last => (step + 1 == self.lengths[row]).then_some(row),
        }
    }

    fn index(&self, step: usize, row: usize) -> usize {
        self.order.index([self.steps, self.rows], step, row)
    }

    /// Returns the step of the other direction that reads the same token.
    fn reverse(&self, step: usize, row: usize) -> usize {
        match self.lengths[row] {
            length if step < length => length - 1 - step,
            _ => step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_reversed_within_its_length() {
        let mut mirror = Mirror::default();
        let window = Window { lengths: Some(&[3, 1]), ..Window::new(3, 2, &[0.0f32; 6]) };
        mirror.set(&window);
        let found = |mirror: &Mirror| (0..6).map(|index| mirror.mirrored(index)).collect::<Vec<_>>();
        assert_eq!(found(&mirror), [4, 1, 2, 3, 0, 5]);
        mirror.set(&Window { order: Order::BatchMajor, ..window });
        assert_eq!(found(&mirror), [4, 2, 0, 1, 3, 5]);
        (0..6).for_each(|index| assert_eq!(mirror.source(mirror.mirrored(index)), index));
    }

    #[test]
    fn the_last_output_of_a_row_is_the_first_of_its_backward_direction() {
        let mut mirror = Mirror::default();
        let window = Window {
            lengths: Some(&[3, 0, 1]),
            output_steps: OutputSteps::Last,
            ..Window::new(3, 3, &[0.0f32; 9])
        };
        mirror.set(&window);
        assert_eq!(mirror.output_tokens(), 3);
        assert_eq!([0, 1, 2].map(|output| mirror.token_of(output)), [Some(6), None, Some(2)]);
        assert_eq!([6, 2].map(|token| mirror.mirrored(token)), [0, 2]);
        let outputs = (0..9).map(|token| mirror.output_of(token));
        assert_eq!(outputs.flatten().collect::<Vec<_>>(), [2, 0]);
        assert_eq!((mirror.output_of(2), mirror.output_of(6)), (Some(2), Some(0)));
    }
}
