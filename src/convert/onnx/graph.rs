//! The graph of a file: its inputs, outputs, nodes and initializers, and which of them its outputs
//! depend on.

use super::{
    super::{check_ignored, is_ignored, one_line},
    messages::{
        AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetProto, ShapeProto,
        TensorProto, TensorTypeProto, TypeProto, ValueInfoProto,
    },
    tensor::MOST_DIMENSIONS,
    wire::Budget,
};
use prost::bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The versions of ONNX's operators that are read. Before 7 operators had other attributes.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=99;

/// An input or output of the graph.
#[derive(Clone, Debug)]
pub(super) struct GraphValue {
    pub(super) name: String,
    /// The size of each axis, if it is fixed; `None` if the file does not give the shape.
    pub(super) shape: Option<Vec<Option<usize>>>,
}

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its name, or that of its first output.
    pub(super) name: String,
    pub(super) operator: String,
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) attributes: BTreeMap<String, AttributeProto>,
    pub(super) ignored: bool,
}

/// A tensor of the file.
#[derive(Clone, Debug)]
pub(super) struct Initializer {
    pub(super) name: String,
    pub(super) proto: TensorProto,
    pub(super) ignored: bool,
}

/// A graph.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    /// Without the initializers, which old files list as inputs too.
    pub(super) inputs: Vec<GraphValue>,
    /// Without those to ignore.
    pub(super) outputs: Vec<GraphValue>,
    /// Each after those whose outputs it reads.
    pub(super) nodes: Vec<Node>,
    pub(super) initializers: Vec<Initializer>,
}

impl Graph {
    /// Decodes a file.
    pub(super) fn read(bytes: Bytes, ignore: &[String], budget: &mut Budget) -> Result<Self, String> {
        let model: ModelProto = budget.decode(&bytes)?;
        let graph: GraphProto =
            budget.decode(&model.graph.ok_or("found no graph, expected an ONNX model")?)?;
        if !graph.sparse_initializer.is_empty() {
            return Err("found a sparse initializer, expected dense ones".to_owned());
        }
        check_opset(&model.opset_import, budget)?;
        let initializers = graph.initializer.iter().map(|bytes| initializer(bytes, ignore, budget));
        let initializers = initializers.collect::<Result<Vec<_>, _>>()?;
        let stored: BTreeSet<&str> = initializers.iter().map(|tensor| tensor.name.as_str()).collect();
        let mut inputs = values(&graph.input, budget)?;
        inputs.retain(|input| !stored.contains(input.name.as_str()));
        let all_outputs = values(&graph.output, budget)?;
        let nodes =
            graph.node.iter().map(|bytes| node(bytes, ignore, budget)).collect::<Result<Vec<_>, _>>()?;
        let outputs =
            all_outputs.iter().filter(|output| !is_ignored(ignore, &output.name)).cloned().collect();
        let mut graph = Self { inputs, outputs, nodes, initializers };
        graph.check_names(ignore, &all_outputs)?;
        graph.check_used(&all_outputs)?;
        Ok(graph)
    }

    /// Checks that each value has one source, and that the names to ignore exist.
    fn check_names(&self, ignore: &[String], outputs: &[GraphValue]) -> Result<(), String> {
        let own = self.initializers.iter().map(|tensor| tensor.name.as_str());
        let results = self.nodes.iter().flat_map(|node| &node.outputs).map(String::as_str);
        let inputs = self.inputs.iter().map(|input| input.name.as_str());
        let mut known = BTreeSet::new();
        for name in own.clone().chain(inputs).chain(results.filter(|name| !name.is_empty())) {
            if !known.insert(name) {
                return Err(format!("found two values named {}, expected different names", one_line(name)));
            }
        }
        let nodes = self.nodes.iter().map(|node| node.name.as_str());
        check_ignored(ignore, own.chain(nodes).chain(outputs.iter().map(|output| output.name.as_str())))
    }

    /// Checks that the outputs depend on every node and initializer. What only outputs to ignore
    /// depend on is marked as ignored.
    fn check_used(&mut self, all_outputs: &[GraphValue]) -> Result<(), String> {
        let needed = self.reached(&self.outputs);
        let for_ignored = self.reached(all_outputs);
        let unused = |name: &str, kind: &str| {
            Err(format!("{kind} {} does not reach an output; leave it out (--ignore {0})", one_line(name)))
        };
        for node in self.nodes.iter_mut().filter(|node| !node.ignored) {
            let reaches = |names: &BTreeSet<String>| node.outputs.iter().any(|name| names.contains(name));
            match (reaches(&needed), reaches(&for_ignored)) {
                (true, _) => {}
                (false, true) => node.ignored = true,
                (false, false) => return unused(&node.name, &format!("node ({})", node.operator)),
            }
        }
        for tensor in self.initializers.iter_mut().filter(|tensor| !tensor.ignored) {
            match (needed.contains(&tensor.name), for_ignored.contains(&tensor.name)) {
                (true, _) => {}
                (false, true) => tensor.ignored = true,
                (false, false) => return unused(&tensor.name, "initializer"),
            }
        }
        Ok(())
    }

    /// The names of all values that some outputs depend on.
    fn reached(&self, outputs: &[GraphValue]) -> BTreeSet<String> {
        let of_output: HashMap<&str, usize> = self
            .nodes
            .iter()
            .enumerate()
            .flat_map(|(index, node)| node.outputs.iter().map(move |name| (name.as_str(), index)))
            .collect();
        let mut reached: BTreeSet<String> = BTreeSet::new();
        let mut open: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
        while let Some(name) = open.pop() {
            if name.is_empty() || !reached.insert(name.to_owned()) {
                continue;
            }
            if let Some(index) = of_output.get(name) {
                open.extend(self.nodes[*index].inputs.iter().map(String::as_str));
            }
        }
        reached
    }
}

/// Checks the version of ONNX's own operators.
fn check_opset(sets: &[Bytes], budget: &mut Budget) -> Result<(), String> {
    for set in sets {
        let OperatorSetProto { domain, version } = budget.decode(set)?;
        if is_own_domain(domain.as_deref()) {
            let version = version.unwrap_or(0);
            return match OPSETS.contains(&version) {
                true => Ok(()),
                false => Err(format!("found operator set {version}, expected {} or above", OPSETS.start())),
            };
        }
    }
    Err("found no version of ONNX's operators".to_owned())
}

fn is_own_domain(domain: Option<&str>) -> bool {
    matches!(domain, None | Some("" | "ai.onnx"))
}

fn initializer(bytes: &Bytes, ignore: &[String], budget: &mut Budget) -> Result<Initializer, String> {
    let proto: TensorProto = budget.decode_numbers(bytes, TensorProto::NUMBERS)?;
    let name = proto.name.clone().unwrap_or_default();
    let ignored = is_ignored(ignore, &name);
    Ok(Initializer { name, proto, ignored })
}

fn values(list: &[Bytes], budget: &mut Budget) -> Result<Vec<GraphValue>, String> {
    list.iter()
        .map(|bytes| {
            let ValueInfoProto { name, type_proto } = budget.decode(bytes)?;
            let shape = type_proto.map(|bytes| value_shape(&bytes, budget)).transpose()?.flatten();
            Ok(GraphValue { name: name.unwrap_or_default(), shape })
        })
        .collect()
}

fn value_shape(bytes: &Bytes, budget: &mut Budget) -> Result<Option<Vec<Option<usize>>>, String> {
    let TypeProto { tensor_type: Some(tensor) } = budget.decode(bytes)? else { return Ok(None) };
    let TensorTypeProto { shape: Some(shape), .. } = budget.decode(&tensor)? else { return Ok(None) };
    let ShapeProto { dim } = budget.decode(&shape)?;
    if dim.len() > MOST_DIMENSIONS {
        return Err(format!(
            "found an input of {} dimensions, expected at most {MOST_DIMENSIONS}",
            dim.len()
        ));
    }
    let size = |bytes: &Bytes| {
        let DimensionProto { dim_value, .. } = budget.decode(bytes)?;
        Ok(dim_value.and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0))
    };
    dim.iter().map(size).collect::<Result<_, String>>().map(Some)
}

fn node(bytes: &Bytes, ignore: &[String], budget: &mut Budget) -> Result<Node, String> {
    let proto: NodeProto = budget.decode(bytes)?;
    let first = proto.output.first().cloned().unwrap_or_default();
    let name = proto.name.filter(|name| !name.is_empty()).unwrap_or(first);
    let operator = match is_own_domain(proto.domain.as_deref()) {
        true => proto.op_type.unwrap_or_default(),
        false => format!("{}.{}", proto.domain.unwrap_or_default(), proto.op_type.unwrap_or_default()),
    };
    let mut attributes = BTreeMap::new();
    for bytes in &proto.attribute {
        let attribute: AttributeProto = budget.decode_numbers(bytes, AttributeProto::NUMBERS)?;
        attributes.insert(attribute.name.clone().unwrap_or_default(), attribute);
    }
    let ignored = is_ignored(ignore, &name) || proto.output.iter().any(|output| is_ignored(ignore, output));
    let operator = one_line(&operator);
    Ok(Node { name, operator, inputs: proto.input, outputs: proto.output, attributes, ignored })
}
