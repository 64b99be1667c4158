//! Writes small ONNX files with any content, field by field.

/// The bytes of a message.
#[derive(Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    pub fn int(mut self, tag: u32, value: i64) -> Self {
        self.varint(u64::from(tag << 3));
        self.varint(value.cast_unsigned());
        self
    }

    pub fn float(mut self, tag: u32, value: f32) -> Self {
        self.varint(u64::from(tag << 3 | 5));
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(mut self, tag: u32, bytes: impl AsRef<[u8]>) -> Self {
        self.varint(u64::from(tag << 3 | 2));
        self.varint(bytes.as_ref().len() as u64);
        self.0.extend(bytes.as_ref());
        self
    }

    fn varint(&mut self, mut value: u64) {
        while value > 127 {
            self.0.push(value as u8 | 128);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// A graph that reads `x` and returns `y`.
#[derive(Clone, Default)]
pub struct OnnxFile {
    pub nodes: Vec<Message>,
    pub constants: Vec<Message>,
    pub inputs: Vec<Message>,
    pub outputs: Vec<Message>,
}

/// An attribute with its value.
pub enum Attribute {
    Int(&'static str, i64),
    Ints(&'static str, Vec<i64>),
    Float(&'static str, f32),
    Text(&'static str, &'static str),
    Texts(&'static str, Vec<&'static str>),
}

/// A tensor of floats with values that depend on their places.
pub fn floats(name: &str, shape: &[usize]) -> Message {
    let count = shape.iter().product::<usize>();
    tensor(name, shape, 1, (0..count).flat_map(|i| ((i % 7) as f32 / 7.0 - 0.4).to_le_bytes()).collect())
}

/// A tensor of integers.
pub fn ints(name: &str, values: &[i64]) -> Message {
    tensor(name, &[values.len()], 7, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

pub fn tensor(name: &str, shape: &[usize], data_type: i64, raw: Vec<u8>) -> Message {
    let dims = shape.iter().fold(Message::default(), |message, size| message.int(1, *size as i64));
    dims.int(2, data_type).bytes(8, name).bytes(9, raw)
}

/// An input or output of floats with this rank.
pub fn value(name: &str, rank: usize) -> Message {
    let shape = (0..rank).fold(Message::default(), |shape, axis| {
        shape.bytes(1, Message::default().bytes(2, format!("axis{axis}")).0)
    });
    let tensor = Message::default().int(1, 1).bytes(2, shape.0);
    Message::default().bytes(1, name).bytes(2, Message::default().bytes(1, tensor.0).0)
}

impl OnnxFile {
    /// A graph with the input `x` of rank 3 and the output `y`.
    pub fn new() -> Self {
        Self { inputs: vec![value("x", 3)], outputs: vec![value("y", 3)], ..Self::default() }
    }

    pub fn node(&mut self, operator: &str, inputs: &[&str], outputs: &[&str], attributes: Vec<Attribute>) {
        let mut node = Message::default();
        for input in inputs {
            node = node.bytes(1, input);
        }
        for output in outputs {
            node = node.bytes(2, output);
        }
        node = node.bytes(3, format!("the {operator}")).bytes(4, operator);
        for attribute in attributes {
            node = node.bytes(5, attribute.message().0);
        }
        self.nodes.push(node);
    }

    /// An LSTM of 2 units on 3 inputs, from `x` to `Y`, and a node that makes `h` of it.
    pub fn lstm(attributes: Vec<Attribute>) -> Self {
        let mut file = Self::new();
        file.constants = vec![floats("W", &[1, 8, 3]), floats("R", &[1, 8, 2]), floats("B", &[1, 16])];
        file.constants.push(ints("one", &[1]));
        file.node("LSTM", &["x", "W", "R", "B"], &["Y"], attributes);
        file.node("Squeeze", &["Y", "one"], &["h"], Vec::new());
        file
    }

    /// As [`OnnxFile::lstm`], with the output `y`.
    pub fn plain() -> Self {
        let mut file = Self::lstm(Vec::new());
        file.node("Identity", &["h"], &["y"], Vec::new());
        file
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut graph = Message::default();
        for (tag, messages) in
            [(1, &self.nodes), (5, &self.constants), (11, &self.inputs), (12, &self.outputs)]
        {
            for message in messages {
                graph = graph.bytes(tag, &message.0);
            }
        }
        let opset = Message::default().bytes(1, "").int(2, 14);
        Message::default().int(1, 8).bytes(7, graph.0).bytes(8, opset.0).0
    }
}

impl Attribute {
    fn message(self) -> Message {
        let named = |name: &str, kind: i64| Message::default().bytes(1, name).int(20, kind);
        match self {
            Self::Int(name, value) => named(name, 2).int(3, value),
            Self::Ints(name, values) => {
                values.into_iter().fold(named(name, 7), |message, value| message.int(8, value))
            }
            Self::Float(name, value) => named(name, 1).float(2, value),
            Self::Text(name, text) => named(name, 3).bytes(4, text),
            Self::Texts(name, texts) => {
                texts.into_iter().fold(named(name, 8), |message, text| message.bytes(9, text))
            }
        }
    }
}
