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
        self.output_steps.tokens([self.steps, self.rows])
    }

    /// Returns the indices of every token: in the caller's window, and in that of the backward
    /// direction.
    pub(super) fn inputs(&self) -> impl Iterator<Item = [usize; 2]> + '_ {
        self.places().map(|(step, row)| [self.index(step, row), self.backward_index(step, row)])
    }

    /// Returns the indices of every token with an output: in the caller's outputs, in the caller's
    /// window, and in the window of the backward direction.
    pub(super) fn outputs(&self) -> impl Iterator<Item = [usize; 3]> + '_ {
        let place = move |(step, row): (usize, usize)| {
            let places = [self.index(step, row), self.backward_index(step, row)];
            match self.output_steps {
                OutputSteps::Every => Some([places[0], places[0], places[1]]),
                OutputSteps::Last => (step + 1 == self.lengths[row]).then_some([row, places[0], places[1]]),
            }
        };
        self.places().filter_map(place)
    }

    /// Returns step and row of every token.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.steps).flat_map(|step| (0..self.rows).map(move |row| (step, row)))
    }

    fn index(&self, step: usize, row: usize) -> usize {
        self.order.index([self.steps, self.rows], step, row)
    }

    fn backward_index(&self, step: usize, row: usize) -> usize {
        let step = match self.lengths[row] {
            length if step < length => length - 1 - step,
            _ => step,
        };
        step * self.rows + row
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
        let found: Vec<_> = mirror.inputs().collect();
        assert_eq!(found, [[0, 4], [1, 1], [2, 2], [3, 3], [4, 0], [5, 5]]);
        mirror.set(&Window { order: Order::BatchMajor, ..window });
        let found: Vec<_> = mirror.inputs().collect();
        assert_eq!(found, [[0, 4], [3, 1], [1, 2], [4, 3], [2, 0], [5, 5]]);
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
        assert_eq!(mirror.outputs().collect::<Vec<_>>(), [[2, 2, 2], [0, 6, 0]]);
    }
}
