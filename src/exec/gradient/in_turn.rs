//! The gradients from the last tensor to the first, so that those of a layer can be sent to other
//! processes while those of the layers below are computed.

use super::{BufferSplitter, GradientPass, InputTableGradient};
use crate::exec::weights::PackedWeights;
use crate::phases::Section;

/// Is called with the number of the part whose gradients are complete, and with the gradients of all
/// parameters. Part 0 is the head, part 1 the last layer, and so on.
pub(crate) type Finished<'a> = &'a mut (dyn FnMut(usize, &mut [f32]) + Send);

/// Returns the first parameter of each part: of the head, of each layer from the last to the second,
/// and of the first layer together with the embedding.
pub(crate) fn starts(weights: &PackedWeights) -> Vec<usize> {
    let tensors = &weights.tensors;
    let layers = tensors.layers.iter().skip(1).rev().map(|layer| {
        // A custom cell has only tensors of its own.
        layer
            .extras
            .iter()
            .map(|(_, range)| range)
            .chain([&layer.input])
            .filter(|range| !range.is_empty())
            .map(|range| range.start)
            .min()
    });
    let mut starts: Vec<usize> = vec![match tensors.head.is_empty() {
        true => usize::MAX,
        false => tensors.head.start,
    }];
    for start in layers {
        let above = starts.last().copied().unwrap_or(usize::MAX);
        starts.push(start.unwrap_or(above).min(above));
    }
    starts.push(0);
    starts
}

impl GradientPass<'_> {
    /// Writes the gradients as `run` does, but part by part. Calls `finished` after each part.
    pub(crate) fn run_in_turn(
        &self,
        (gradient, finished): (&mut [f32], Finished<'_>),
        table: &mut InputTableGradient,
        beside: impl FnOnce() + Send,
    ) {
        let Self { weights, threads, .. } = *self;
        let layers = weights.layers.len();
        threads.enter(self.work(), || {
            let _section = weights.phases.section(Section::Gradients, threads.at_work());
            threads.join(|| self.layers(layers, BufferSplitter::new(gradient)), beside);
            finished(0, gradient);
            for l in (1..layers).rev() {
                self.layer(l, BufferSplitter::new(gradient), &|_| ());
                self.share_bias_of(l, gradient);
                finished(layers - l, gradient);
            }
            self.first_sums(BufferSplitter::new(gradient), table, &|_| ());
            self.finish_first(BufferSplitter::new(gradient), table);
            finished(layers, gradient);
        });
    }
}
