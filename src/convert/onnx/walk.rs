//! Walks through the nodes of a graph in order, finds what each value is, and appends the layers
//! that it meets to a chain.

use super::{
    super::{
        chain::{Chain, ChainInput, StageKind},
        one_line,
    },
    axes,
    graph::{Graph, GraphValue, Node},
    messages::TensorProto,
    operators,
    tensor::{self, Numbers},
    value::{Atom, Content, Data, Dim, Floats, Label, Value},
    wire::Budget,
};
use prost::bytes::Bytes;
use std::{collections::HashMap, path::Path};

/// The most floats that are copied while constants are sliced, joined and transposed, beside the
/// number of bytes in the file.
const MOST_COPIED: usize = 1 << 24;

/// The state of a walk.
pub(super) struct Walk<'a> {
    pub(super) graph: &'a Graph,
    path: &'a Path,
    budget: Budget,
    /// The value of each name.
    pub(super) values: HashMap<String, Value>,
    pub(super) chain: Chain,
    /// Number of changes of the chain so far. An array belongs to the chain of its own position.
    pub(super) position: usize,
    /// The position of the inputs of the last layer, and the axes.
    pub(super) below: Option<Data>,
    /// The input that the first layer reads, by its index.
    pub(super) main_input: Option<usize>,
    /// The axes of the input that are steps and batch rows.
    pub(super) roles: Option<[Option<Label>; 2]>,
    /// The axis of the input that is features.
    pub(super) features: Option<Label>,
    /// True if an input of the graph gives the length of each row.
    pub(super) has_lengths: bool,
    /// The positions of the chain after each recurrent layer.
    pub(super) hidden_states: Vec<usize>,
    /// Number of recurrent layers so far.
    pub(super) recurrent: usize,
    /// The inputs that give lengths and initial states, each with what it became.
    pub(super) side_inputs: Vec<(usize, String)>,
    /// The stages that each node and each initializer became, by their indices; `None` for the
    /// embedding.
    pub(super) node_stages: HashMap<usize, Option<usize>>,
    pub(super) origin_stages: HashMap<usize, Option<usize>>,
    /// Floats that may still be copied.
    pub(super) copies: usize,
}

impl<'a> Walk<'a> {
    /// Starts at the inputs and initializers.
    pub(super) fn new(
        graph: &'a Graph,
        path: &'a Path,
        bytes: usize,
        budget: Budget,
    ) -> Result<Self, String> {
        let mut walk = Self {
            graph,
            path,
            budget,
            values: HashMap::new(),
            chain: Self::empty_chain(),
            position: 0,
            below: None,
            main_input: None,
            roles: None,
            features: None,
            has_lengths: false,
            hidden_states: Vec::new(),
            recurrent: 0,
            side_inputs: Vec::new(),
            node_stages: HashMap::new(),
            origin_stages: HashMap::new(),
            copies: bytes.saturating_add(MOST_COPIED),
        };
        for (index, input) in graph.inputs.iter().enumerate() {
            walk.values.insert(input.name.clone(), input_value(index, input));
        }
        for (index, initializer) in
            graph.initializers.iter().enumerate().filter(|(_, tensor)| !tensor.ignored)
        {
            let of_tensor = |reason| format!("initializer {}: {reason}", one_line(&initializer.name));
            let value = walk.constant(&initializer.proto, Some(index)).map_err(of_tensor)?;
            walk.values.insert(initializer.name.clone(), value);
        }
        Ok(walk)
    }

    /// A chain without layers.
    pub(super) fn empty_chain() -> Chain {
        Chain { input: ChainInput::Vectors(0), stages: Vec::new(), stored: 0 }
    }

    /// Visits every node.
    pub(super) fn run(&mut self) -> Result<(), String> {
        let graph = self.graph;
        for (index, node) in graph.nodes.iter().enumerate() {
            let before = self.position;
            let results = match node.ignored {
                true => vec![self.passed_on(node)],
                false => {
                    let of_node =
                        |reason| format!("node {} ({}): {reason}", one_line(&node.name), node.operator);
                    operators::check(node).and_then(|()| self.visit(node)).map_err(of_node)?
                }
            };
            if self.position > before {
                self.node_stages.insert(index, self.last_stage());
            }
            self.copy(results.iter().map(Value::size).sum())?;
            let named = node.outputs.iter().zip(results).filter(|(name, _)| !name.is_empty());
            self.values.extend(named.map(|(name, value)| (name.clone(), value)));
        }
        Ok(())
    }

    /// The input of an ignored node.
    fn passed_on(&self, node: &Node) -> Value {
        let first = node.inputs.first().and_then(|name| self.values.get(name));
        first.cloned().unwrap_or(Value::Unknown)
    }

    /// The input `index` of a node, if it is given.
    pub(super) fn optional(&self, node: &Node, index: usize) -> Result<Option<&Value>, String> {
        match node.inputs.get(index).filter(|name| !name.is_empty()) {
            None => Ok(None),
            Some(name) => match self.values.get(name) {
                Some(value) => Ok(Some(value)),
                None => Err(format!(
                    "found the input {}, expected the output of a node before it; an output of a node that is left out cannot be \
                     used",
                    one_line(name)
                )),
            },
        }
    }

    /// The input `index` of a node.
    pub(super) fn required(&self, node: &Node, index: usize) -> Result<&Value, String> {
        self.optional(node, index)?.ok_or_else(|| format!("input {index} is missing"))
    }

    /// The value of a tensor of the file.
    pub(super) fn constant(&mut self, proto: &TensorProto, origin: Option<usize>) -> Result<Value, String> {
        let tensor::Tensor { shape, numbers } = tensor::tensor(proto, self.path, &mut self.budget)?;
        Ok(match numbers {
            Numbers::Ints(values) => {
                Value::Ints { dims: values.into_iter().map(Dim::Known).collect(), scalar: shape.is_empty() }
            }
            Numbers::Floats(values) => {
                self.chain.stored = self.chain.stored.saturating_add(values.len());
                let origins = origin.into_iter().collect();
                Value::Floats(Floats { shape, values: values.into(), origins })
            }
        })
    }

    /// Decodes a tensor in an attribute.
    pub(super) fn attribute_tensor(&mut self, bytes: &Bytes) -> Result<Value, String> {
        let proto = self.budget.decode_numbers(bytes, TensorProto::NUMBERS)?;
        self.constant(&proto, None)
    }

    /// Appends a layer that reads `data` and returns `axes`.
    pub(super) fn push(
        &mut self,
        node: &Node,
        kind: StageKind,
        data: Data,
        axes: Vec<Vec<Atom>>,
    ) -> Result<Value, String> {
        self.chain.push(one_line(&node.name), kind)?;
        self.position += 1;
        let content = data.content;
        self.below = Some(data);
        Ok(Value::Data(Data { content, position: self.position, axes }))
    }

    /// The last stage so far; `None` if it is the embedding.
    fn last_stage(&self) -> Option<usize> {
        self.chain.stages.len().checked_sub(1)
    }

    /// Records that the last stage uses a constant.
    pub(super) fn used(&mut self, floats: &Floats) {
        let stage = self.last_stage();
        self.origin_stages.extend(floats.origins.iter().map(|origin| (*origin, stage)));
    }

    /// Checks that an array is the output of the last layer so far.
    pub(super) fn check_current(&self, data: &Data) -> Result<(), String> {
        match data.position == self.position {
            true => Ok(()),
            false => Err("it reads the output of a layer that another layer reads too; expected layers one after the other"
                .to_owned()),
        }
    }

    /// Makes an input of the graph the vectors that the first layer reads, with features along its
    /// last axis.
    pub(super) fn begin(&mut self, data: Data, width: usize) -> Result<Data, String> {
        let Content::Input(input) = data.content else {
            self.check_current(&data)?;
            return Ok(data);
        };
        let mut data = self.begin_at(data, input, ChainInput::Vectors(width))?;
        let last = data.axes.last_mut().ok_or("found a scalar, expected vectors")?;
        let fits = match &last[..] {
            [] => width == 1,
            [atom] => atom.size.is_none_or(|size| size == width),
            _ => false,
        };
        if !fits {
            return Err(format!(
                "the last axis of its input is {}, expected {width} features",
                axes::described(last)
            ));
        }
        self.features = last.first().map(|atom| atom.label);
        *last = vec![Atom::features(width)];
        Ok(data)
    }

    /// Makes an input of the graph that of the chain.
    pub(super) fn begin_at(&mut self, data: Data, input: usize, kind: ChainInput) -> Result<Data, String> {
        if self.main_input.is_some_and(|main| main != input || self.position > 0) {
            let name = one_line(&self.graph.inputs[input].name);
            return Err(format!("it reads the input {name}, but other layers read an input before"));
        }
        self.main_input = Some(input);
        self.chain.input = kind;
        Ok(Data { content: Content::EveryStep, ..data })
    }

    /// Counts floats that are copied.
    pub(super) fn copy(&mut self, floats: usize) -> Result<(), String> {
        let too_many = || "the graph is too large, or copies its constants too often".to_owned();
        self.copies = self.copies.checked_sub(floats).ok_or_else(too_many)?;
        Ok(())
    }
}

/// The value of an input: its axes, with their sizes if the file gives them.
fn input_value(index: usize, input: &GraphValue) -> Value {
    // Without a shape: [steps, rows, features] is the most frequent one.
    let shape = input.shape.clone().unwrap_or_else(|| vec![None; 3]);
    let axis = |(place, size): (usize, Option<usize>)| vec![Atom { label: Label::Outer(place), size }];
    let axes = shape.into_iter().enumerate().map(axis).collect();
    Value::Data(Data { content: Content::Input(index), position: 0, axes })
}
