//! The values of a graph, as far as they are known without computing them: the axes of an array,
//! and its place in the chain of layers.

use std::rc::Rc;

/// The meaning of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// An axis of the input of the graph, by its place there: steps or batch rows.
    Outer(usize),
    /// Forward and backward.
    Direction,
    /// The features of a token.
    Features,
}

/// An axis that was not divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Atom {
    pub(super) label: Label,
    /// `None` if it differs from window to window.
    pub(super) size: Option<usize>,
}

impl Atom {
    pub(super) fn features(size: usize) -> Self {
        Self { label: Label::Features, size: Some(size) }
    }
}

/// An axis of an array: several atoms if axes were merged, none for an axis of size 1.
pub(super) type Axis = Vec<Atom>;

/// A number of a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dim {
    Known(i64),
    /// The size of an axis of the input, or a product of several.
    Atoms(Vec<Atom>),
    Unknown,
}

/// A constant of floats.
#[derive(Clone, Debug)]
pub(super) struct Floats {
    pub(super) shape: Vec<usize>,
    pub(super) values: Rc<[f32]>,
    /// The initializers that it comes from, by their index in the graph.
    pub(super) origins: Rc<[usize]>,
}

impl Floats {
    pub(super) fn is_zero(&self) -> bool {
        self.values.iter().all(|value| *value == 0.0)
    }
}

/// The contents of an array of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// An input of the graph, by its index, unchanged but for the order of its axes.
    Input(usize),
    /// The outputs of all steps.
    EveryStep,
    /// The outputs of all steps, of the forward direction (0) or the reverse one (1).
    OneDirection(usize),
    /// The outputs of the last step.
    LastStep,
    /// A last state that is not the output of the last step: a cell state.
    State,
}

/// An array of data, which differs from window to window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Data {
    pub(super) content: Content,
    /// The length of the chain that computes it, counted in changes of the chain.
    pub(super) position: usize,
    pub(super) axes: Vec<Axis>,
}

/// A value of the graph.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Data(Data),
    Floats(Floats),
    /// Integers: shapes, axes, positions; a list, or a scalar.
    Ints {
        dims: Vec<Dim>,
        scalar: bool,
    },
    /// Floats that are all zero, of any shape.
    Zeros,
    /// Last states of several layers, one above the other.
    States(Vec<Data>),
    /// A part of an input of the graph, for the initial state of layer `layer`, if it is known.
    InitialState {
        input: usize,
        layer: Option<usize>,
    },
    /// A result of constants that only shapes depend on.
    Unknown,
}

impl Value {
    /// A list of integers.
    pub(super) fn list(dims: Vec<Dim>) -> Self {
        Self::Ints { dims, scalar: false }
    }

    /// Names the kind of value in messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Data(Data { content: Content::Input(_), .. }) => "an input of the graph",
            Self::Data(_) => "the output of a layer",
            Self::Floats(_) => "constant floats",
            Self::Ints { .. } => "integers",
            Self::Zeros => "zeros",
            Self::States(_) => "states of several layers",
            Self::InitialState { .. } => "a part of an input of the graph",
            Self::Unknown => "a value that depends on the shape of the inputs",
        }
    }

    /// The memory of the value, counted in floats; 0 for constants, which are shared.
    pub(super) fn size(&self) -> usize {
        let of_data = |data: &Data| 24 + data.axes.iter().map(|axis| 8 + 8 * axis.len()).sum::<usize>();
        let of_dim = |dim: &Dim| match dim {
            Dim::Atoms(atoms) => 8 + 8 * atoms.len(),
            Dim::Known(_) | Dim::Unknown => 8,
        };
        match self {
            Self::Data(data) => of_data(data),
            Self::States(states) => states.iter().map(of_data).sum(),
            Self::Ints { dims, .. } => dims.iter().map(of_dim).sum(),
            Self::Floats(_) | Self::Zeros | Self::InitialState { .. } | Self::Unknown => 0,
        }
    }

    /// Returns whether only constants and shapes determine the value.
    pub(super) fn is_constant(&self) -> bool {
        matches!(self, Self::Floats(_) | Self::Ints { .. } | Self::Zeros | Self::Unknown)
    }

    /// The integers, if all are known.
    pub(super) fn known_ints(&self) -> Option<Vec<i64>> {
        let Self::Ints { dims, .. } = self else { return None };
        let known = |dim: &Dim| match dim {
            Dim::Known(value) => Some(*value),
            Dim::Atoms(_) | Dim::Unknown => None,
        };
        dims.iter().map(known).collect()
    }
}
