//! Inputs of a window: symbol ids or vectors, in time-major or batch-major order, with checks.

use super::masks::{Dropout, Masks};
use super::state::State;
use crate::model::{LayerDirection, ModelConfig};
use crate::{Error, Result};

/// The inputs of tokens (a token is one step of one row): ids for a model of symbols, vectors for a
/// model of vectors.
///
/// Slices, arrays, vectors and references to single values convert into it, so callers write
/// `plan.forward(&ids, &mut outputs)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Inputs<'a> {
    /// One symbol id for each token.
    Ids(&'a [u32]),
    /// One vector of E floats for each token.
    Vectors(&'a [f32]),
}

macro_rules! inputs_from {
    ($value:ty, $variant:ident) => {
        impl<'a> From<&'a [$value]> for Inputs<'a> {
            fn from(values: &'a [$value]) -> Self {
                Self::$variant(values)
            }
        }
        impl<'a> From<&'a Vec<$value>> for Inputs<'a> {
            fn from(values: &'a Vec<$value>) -> Self {
                Self::$variant(values)
            }
        }
        impl<'a, const N: usize> From<&'a [$value; N]> for Inputs<'a> {
            fn from(values: &'a [$value; N]) -> Self {
                Self::$variant(values)
            }
        }
        impl<'a> From<&'a $value> for Inputs<'a> {
            fn from(value: &'a $value) -> Self {
                Self::$variant(std::slice::from_ref(value))
            }
        }
    };
}
inputs_from!(u32, Ids);
inputs_from!(f32, Vectors);

impl Inputs<'_> {
    /// Returns an error unless these are the inputs of `tokens` tokens for a model with this
    /// configuration.
    pub(crate) fn check(self, tokens: Option<usize>, config: &ModelConfig) -> Result<()> {
        let (found, unit, width) = match (self, config.vocabulary) {
            (Self::Ids(ids), 1..) => (ids.len(), "ids", 1),
            (Self::Vectors(values), 0) => (values.len(), "values", config.input_width(0)),
            (Self::Ids(_), 0) => {
                let expected =
                    format!("vectors of {} values: this model has no vocabulary", config.input_width(0));
                return Err(Error::batch("token ids", expected));
            }
            (Self::Vectors(_), symbols) => {
                return Err(Error::batch(
                    "vectors",
                    format!("ids below {symbols}: this model has a vocabulary"),
                ));
            }
        };
        if tokens.filter(|tokens| *tokens > 0).and_then(|tokens| tokens.checked_mul(width)) == Some(found) {
            return Ok(());
        }
        let expected = match (tokens, width) {
            (Some(0) | None, _) => "at least one token, and a size that memory can hold".to_owned(),
            (Some(tokens), 1) => format!("{tokens}, one for each token"),
            (Some(tokens), width) => {
                format!("{}, {width} for each of {tokens} tokens", tokens.saturating_mul(width))
            }
        };
        Err(Error::batch(format!("{found} {unit}"), expected))
    }

    /// The number of steps T of a window with B = `rows` rows.
    pub(crate) fn steps(self, rows: usize, config: &ModelConfig) -> Result<usize> {
        let (found, width) = match self {
            Self::Ids(ids) => (ids.len(), rows),
            Self::Vectors(values) => (values.len(), rows.saturating_mul(config.input_width(0))),
        };
        if rows > 0 && found.is_multiple_of(width) {
            return Ok(found / width);
        }
        let expected = "the same number of steps for each of its rows";
        Err(Error::batch(format!("{found} inputs for {rows} rows"), expected))
    }

    /// Returns an error for the first id that is not below `vocabulary`.
    pub(crate) fn check_vocabulary(self, vocabulary: usize) -> Result<()> {
        let Self::Ids(ids) = self else { return Ok(()) };
        match ids.iter().find(|id| **id as usize >= vocabulary) {
            None => Ok(()),
            Some(id) => {
                Err(Error::batch(format!("the id {id} among its inputs"), format!("ids below {vocabulary}")))
            }
        }
    }
}

/// The order of the tokens in inputs and outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// [T, B, ..]: all rows of a step, then the next step (TensorFlow's `time_major=True`).
    #[default]
    TimeMajor,
    /// [B, T, ..]: all steps of a row, then the next row (TensorFlow's default).
    BatchMajor,
    /// [N, ..]: step by step as in `TimeMajor`, but without padding: of each step only the rows that
    /// are long enough. With rows in order of length, the longest first, these are the `data` of
    /// PyTorch's `PackedSequence`.
    Packed,
}

impl Order {
    /// The index of the token of a step and a row, in a window of T steps by B rows without padding.
    pub(crate) fn index(self, [steps, rows]: [usize; 2], step: usize, row: usize) -> usize {
        match self {
            Self::TimeMajor | Self::Packed => step * rows + row,
            Self::BatchMajor => row * steps + step,
        }
    }

    /// The step and the row of the token at an index: the inverse of [`Order::index`].
    pub(crate) fn token(self, [steps, rows]: [usize; 2], index: usize) -> (usize, usize) {
        match self {
            Self::TimeMajor | Self::Packed => (index / rows, index % rows),
            Self::BatchMajor => (index % steps, index / steps),
        }
    }
}

/// The steps whose outputs are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputSteps {
    /// Every step: outputs [T, B, O] or [B, T, O], as the window's order says.
    #[default]
    Every,
    /// The last step of each row (many-to-one): outputs [B, O]. Those of a row without steps are
    /// zero. If the last layer is bidirectional, its outputs are the last ones of both directions:
    /// the reverse direction has then read the whole row too (Keras's `return_sequences=False`).
    Last,
}

/// A window of T steps by B batch rows, and how to run it.
///
/// ```
/// use unrolled::exec::Window;
///
/// let inputs = vec![0.0; 4 * 2 * 3]; // [T, B, E] = [4, 2, 3]
/// let window = Window { lengths: Some(&[4, 2]), ..Window::new(4, 2, &inputs) };
/// # let _ = window;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Number of steps T.
    pub steps: usize,
    /// Number of batch rows B.
    pub rows: usize,
    /// Ids [T, B] or vectors [T, B, E], in the given order; `[N]` or [N, E] if they are packed.
    pub inputs: Inputs<'a>,
    /// The order of inputs and outputs.
    pub order: Order,
    /// `[B]`: the number of steps of each row, at most T (`sequence_length`). Inputs beyond the end
    /// of a row are not read; outputs there are zero, and the state of the row stays. `None`: all
    /// rows have T steps.
    pub lengths: Option<&'a [usize]>,
    /// The steps whose outputs are computed, and whose targets enter the loss.
    pub output_steps: OutputSteps,
    /// The initial state. `None`: zero, or for a [`Dynamic`](super::Dynamic) the state after its
    /// last window.
    pub initial: Option<&'a State>,
    /// The source of dropout and zoneout masks in training. `None`: no dropout, and zoneout
    /// uses the expected value of its mask.
    pub dropout: Option<Dropout>,
    /// Masks to use instead of drawn ones. Ignored if `dropout` is `None`.
    pub masks: Option<&'a Masks>,
}

impl<'a> Window<'a> {
    /// A time-major window of T steps by B rows, from the zero state.
    pub fn new(steps: usize, rows: usize, inputs: impl Into<Inputs<'a>>) -> Self {
        let (lengths, initial, dropout, masks) = (None, None, None, None);
        let (order, output_steps) = (Order::TimeMajor, OutputSteps::Every);
        Self { steps, rows, inputs: inputs.into(), order, lengths, output_steps, initial, dropout, masks }
    }

    /// Returns an error that names the first field which does not fit a model with this
    /// configuration.
    pub(crate) fn check(&self, config: &ModelConfig) -> Result<()> {
        let Self { steps, rows, inputs, lengths, initial, dropout, .. } = *self;
        dropout.map_or(Ok(()), Dropout::check)?;
        lengths.map_or(Ok(()), |lengths| check_lengths(lengths, [steps, rows]))?;
        inputs.check(self.tokens(), config)?;
        self.check_ids(config.vocabulary)?;
        self.check_masks(config)?;
        initial.map_or(Ok(()), |state| state.check(config, rows))
    }

    /// Checks the ids of tokens. Padding may hold any number.
    fn check_ids(&self, vocabulary: usize) -> Result<()> {
        match self.inputs {
            Inputs::Ids(ids) => check_ids(ids, vocabulary, self),
            Inputs::Vectors(_) => Ok(()),
        }
    }

    fn check_masks(&self, config: &ModelConfig) -> Result<()> {
        let Self { steps, rows, masks, .. } = *self;
        for (layer, site, mask) in masks.into_iter().flat_map(Masks::iter) {
            let width = match config.directions().nth(layer) {
                None => 0,
                Some(LayerDirection { layer, .. }) => {
                    config.stack[layer].width_at(site, config.input_width(layer))
                }
            };
            if mask.len() != steps * rows * width {
                let found = format!("{} values in the mask {site:?} of layer {layer}", mask.len());
                return Err(Error::batch(found, format!("{steps} steps x {rows} rows x {width} of them")));
            }
        }
        Ok(())
    }

    /// The number of tokens in the inputs: T x B, or N if they are packed. `None` if it is beyond all
    /// memory.
    pub(crate) fn tokens(&self) -> Option<usize> {
        match (self.order, self.lengths) {
            (Order::Packed, Some(lengths)) => {
                lengths.iter().try_fold(0, |sum: usize, length| sum.checked_add(*length))
            }
            _ => self.steps.checked_mul(self.rows),
        }
    }

    /// The number of tokens with an output and a target: those of the inputs, or B.
    pub(crate) fn output_tokens(&self) -> usize {
        match self.output_steps {
            OutputSteps::Every => self.tokens().unwrap_or(usize::MAX),
            OutputSteps::Last => self.rows,
        }
    }

    /// The step and the row of each token of the inputs.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        let Self { steps, rows, order, .. } = *self;
        let all = (0..steps * rows).map(move |index| order.token([steps, rows], index));
        all.filter(move |(step, row)| order != Order::Packed || self.has(*step, *row))
    }

    /// Returns true if a step of a row is a token, not padding.
    pub(crate) fn has(&self, step: usize, row: usize) -> bool {
        self.lengths.is_none_or(|lengths| step < lengths[row])
    }
}

/// Returns an error for the first id of a token that is not below `vocabulary`.
fn check_ids(ids: &[u32], vocabulary: usize, window: &Window<'_>) -> Result<()> {
    if ids.iter().all(|id| (*id as usize) < vocabulary) {
        return Ok(());
    }
    let beyond =
        |(id, (step, row)): &(&u32, (usize, usize))| **id as usize >= vocabulary && window.has(*step, *row);
    match ids.iter().zip(window.places()).find(beyond) {
        None => Ok(()),
        Some((id, (step, row))) => {
            let found = format!("the id {id} among its inputs at step {step} of row {row}");
            Err(Error::batch(found, format!("ids below {vocabulary}")))
        }
    }
}

fn check_lengths(lengths: &[usize], [steps, rows]: [usize; 2]) -> Result<()> {
    if lengths.len() != rows {
        let expected = format!("one for each of {rows} rows");
        return Err(Error::batch(format!("{} lengths", lengths.len()), expected));
    }
    match lengths.iter().position(|length| *length > steps) {
        None => Ok(()),
        Some(row) => {
            let found = format!("the length {} of row {row}", lengths[row]);
            Err(Error::batch(found, format!("lengths up to the window's {steps} steps")))
        }
    }
}

/// Returns an error unless a slice has room for `width` floats of each of `tokens` tokens.
pub(crate) fn check_room(found: usize, tokens: usize, width: usize, what: &str) -> Result<()> {
    if tokens.checked_mul(width) == Some(found) {
        return Ok(());
    }
    let expected = format!("{}, {width} for each of {tokens}", tokens.saturating_mul(width));
    Err(Error::batch(format!("{found} {what}"), expected))
}
