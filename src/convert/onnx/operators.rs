//! The operators that are read, and their attributes.

use super::graph::Node;

/// The operators, each with the attributes that are understood. Others are refused by name.
#[rustfmt::skip]
pub(super) const OPERATORS: &[(&str, &[&str])] = &[
    ("Add", &[]),
    ("Cast", &["to", "saturate"]),
    ("CastLike", &[]),
    ("Concat", &["axis"]),
    ("Constant", &["value", "value_float", "value_floats", "value_int", "value_ints"]),
    ("ConstantOfShape", &["value"]),
    ("Div", &[]),
    ("Dropout", &["ratio", "seed"]),
    ("Equal", &[]),
    ("Expand", &[]),
    ("Flatten", &["axis"]),
    ("GRU", &["activations", "direction", "hidden_size", "layout", "linear_before_reset"]),
    ("Gather", &["axis"]),
    ("Gemm", &["alpha", "beta", "transA", "transB"]),
    ("Identity", &[]),
    ("LSTM", &["activations", "direction", "hidden_size", "input_forget", "layout"]),
    ("MatMul", &[]),
    ("Max", &[]),
    ("Min", &[]),
    ("Mul", &[]),
    ("OneHot", &["axis"]),
    ("RNN", &["activation_alpha", "activation_beta", "activations", "direction", "hidden_size", "layout"]),
    ("ReduceProd", &["axes", "keepdims", "noop_with_empty_axes"]),
    ("Relu", &[]),
    ("Reshape", &["allowzero"]),
    ("Shape", &["start", "end"]),
    ("Sigmoid", &[]),
    ("Slice", &["axes", "ends", "starts"]),
    ("Split", &["axis", "num_outputs", "split"]),
    ("Squeeze", &["axes"]),
    ("Sub", &[]),
    ("Tanh", &[]),
    ("Tile", &[]),
    ("Transpose", &["perm"]),
    ("Unsqueeze", &["axes"]),
    ("Where", &[]),
];

/// Checks that the operator of a node and all of its attributes are understood.
pub(super) fn check(node: &Node) -> Result<(), String> {
    let Some((_, known)) = OPERATORS.iter().find(|(name, _)| *name == node.operator) else {
        return Err(match node.operator.as_str() {
            "Softmax" | "LogSoftmax" => format!(
                "the model has no place for it; leave it out (--ignore {}), and the model returns its input, the logits",
                node.name
            ),
            _ => "this operator is not supported".to_owned(),
        });
    };
    match node.attributes.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(format!("attribute {} is not supported", super::one_line(name))),
    }
}

/// Attributes by their type.
impl Node {
    /// An integer, or `default`.
    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attributes.get(name).and_then(|attribute| attribute.i).unwrap_or(default)
    }

    /// A list of integers, if it is there.
    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attributes.get(name).map(|attribute| &attribute.ints[..])
    }

    /// A text, or `default`.
    pub(super) fn text(&self, name: &str, default: &str) -> String {
        let found = self.attributes.get(name).and_then(|attribute| attribute.s.as_ref());
        found.map_or_else(|| default.to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// A list of texts, if it is there.
    pub(super) fn texts(&self, name: &str) -> Option<Vec<String>> {
        let attribute = self.attributes.get(name)?;
        Some(attribute.strings.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect())
    }

    /// Returns an error unless an attribute, if it is there, has its neutral value.
    pub(super) fn require_int(&self, name: &str, neutral: i64) -> Result<(), String> {
        match self.int(name, neutral) {
            found if found == neutral => Ok(()),
            found => Err(format!("attribute {name} = {found} is not supported, expected {neutral}")),
        }
    }

    /// As [`Node::require_int`], for a float.
    pub(super) fn require_float(&self, name: &str, neutral: f32) -> Result<(), String> {
        match self.attributes.get(name).and_then(|attribute| attribute.f).unwrap_or(neutral) {
            found if found == neutral => Ok(()),
            found => Err(format!("attribute {name} = {found} is not supported, expected {neutral}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_all_operators_and_attributes() {
        let page = include_str!("../../../docs/converting.md");
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        for (operator, attributes) in OPERATORS {
            let row = rows.iter().find(|row| row.starts_with(&format!("| `{operator}` |"))).expect(operator);
            for attribute in *attributes {
                assert!(row.contains(&format!("`{attribute}`")), "{operator}: {attribute}");
            }
        }
        let documented = rows.iter().filter_map(|row| row.strip_prefix("| `")?.split('`').next());
        let listed = documented.filter(|name| name.starts_with(|first: char| first.is_ascii_uppercase()));
        assert_eq!(listed.count(), OPERATORS.len());
    }
}
