//! The outputs of a graph, and the table of what its parts became.

use super::{
    super::{Part, one_line},
    graph::{Graph, GraphValue},
    tensor::type_name,
    value::{Content, Data, Label, Value},
    walk::Walk,
};

/// The kind of the outputs of a graph.
pub(super) struct Outputs {
    /// True if the graph returns only the last step.
    pub(super) last_step: bool,
    /// The rows of the table for the outputs.
    pub(super) parts: Vec<Part>,
}

impl Walk<'_> {
    /// Checks that the outputs are those of the last layer, and states.
    pub(super) fn outputs(&self) -> Result<Outputs, String> {
        let (mut every, mut last, mut parts) = (false, false, Vec::new());
        let has_all = self.graph.outputs.iter().any(|output| self.is_final(output, Content::EveryStep));
        for output in &self.graph.outputs {
            let name = one_line(&output.name);
            let state = "a state";
            let became = match self.values.get(&output.name) {
                Some(Value::States(_)) => state,
                Some(Value::Data(data)) => match data.content {
                    Content::State => state,
                    Content::EveryStep if data.position == self.position => {
                        every = true;
                        "the outputs"
                    }
                    Content::LastStep if data.position == self.position && !has_all => {
                        last = true;
                        "the outputs of the last step"
                    }
                    Content::LastStep if self.is_hidden_state(data) => state,
                    Content::EveryStep | Content::LastStep => {
                        return Err(format!(
                            "output {name} is that of an inner layer, which the model does not return; leave it out \
                             (--ignore {name})"
                        ));
                    }
                    Content::OneDirection(_) => {
                        return Err(format!("output {name} is one direction of a layer, expected both"));
                    }
                    Content::Input(_) => return Err(format!("output {name} is an input of the graph")),
                },
                Some(other) => {
                    return Err(format!("output {name} is {}, expected the output of a layer", other.kind()));
                }
                None => return Err(format!("output {name} has no source")),
            };
            parts.push(Part::new(&name, "output", &[], became));
        }
        match every || last {
            true => Ok(Outputs { last_step: !every, parts }),
            false => Err("no output of the graph is that of its last layer".to_owned()),
        }
    }

    fn is_final(&self, output: &GraphValue, content: Content) -> bool {
        matches!(self.values.get(&output.name), Some(Value::Data(data))
            if data.position == self.position && data.content == content)
    }

    /// Returns whether the last step of a recurrent layer is its hidden state.
    fn is_hidden_state(&self, data: &Data) -> bool {
        self.hidden_states.contains(&data.position)
    }

    /// The rows of the table, in the order of the file. `became` is what each stage became.
    pub(super) fn parts(&self, became: &[String]) -> Vec<Part> {
        let stage = |found: Option<&Option<usize>>, other: &str| match found {
            Some(None) => "embedding".to_owned(),
            Some(Some(index)) => became.get(*index).cloned().unwrap_or_default(),
            None => other.to_owned(),
        };
        let Graph { inputs, initializers, nodes, .. } = self.graph;
        let mut parts = Vec::new();
        for (index, input) in inputs.iter().enumerate() {
            let side = self.side_inputs.iter().find(|(known, _)| *known == index);
            let main = if Some(index) == self.main_input { "the inputs" } else { "nothing" };
            let became = side.map_or(main, |(_, became)| became);
            parts.push(Part::new(&input.name, "input", &[], became));
        }
        for (index, tensor) in initializers.iter().enumerate() {
            let shape: Vec<usize> = tensor.proto.dims.iter().map(|size| *size as usize).collect();
            let other = if tensor.ignored { "ignored" } else { "a constant" };
            let kind = type_name(tensor.proto.data_type.unwrap_or(0));
            parts.push(Part::new(&tensor.name, &kind, &shape, stage(self.origin_stages.get(&index), other)));
        }
        for (index, node) in nodes.iter().enumerate() {
            let other = if node.ignored { "ignored" } else { "the order of the numbers, or a shape" };
            parts.push(Part::new(
                &node.name,
                &node.operator,
                &[],
                stage(self.node_stages.get(&index), other),
            ));
        }
        parts
    }

    /// Checks that every input was used. Returns a note about the order of the axes.
    pub(super) fn check_inputs(&self) -> Result<Option<String>, String> {
        for (index, input) in self.graph.inputs.iter().enumerate() {
            let is_side = self.side_inputs.iter().any(|(known, _)| *known == index);
            if Some(index) != self.main_input && !is_side {
                let name = one_line(&input.name);
                return Err(format!("no layer reads the input {name}"));
            }
        }
        Ok(self.order_of_axes())
    }

    /// A note about the order of steps, batch rows and features in the inputs.
    fn order_of_axes(&self) -> Option<String> {
        let [Some(Label::Outer(steps)), Some(Label::Outer(rows))] = self.roles? else { return None };
        let mut order = vec![(steps, "steps"), (rows, "batch rows")];
        let rest = match self.features {
            Some(Label::Outer(features)) if features < steps.max(rows) => {
                order.push((features, "features"));
                ""
            }
            _ => ", ...",
        };
        order.sort_unstable();
        let order: Vec<&str> = order.into_iter().map(|(_, name)| name).collect();
        Some(format!("the arrays of the file are [{}{rest}]", order.join(", ")))
    }
}
