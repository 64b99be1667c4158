//! Arrays of numbers of any shape in JSON.

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;

/// The most dimensions of an array.
const DEEPEST: usize = 4;

/// A row-major array. A number has no dimensions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

impl<'de> Deserialize<'de> for Array {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut values = Vec::new();
        let shape = from.deserialize_any(Elements { values: &mut values, depth: 0 })?;
        Ok(Self { shape: shape.into_iter().rev().collect(), values })
    }
}

/// Appends numbers to `values`. Returns the shape, the last dimension first.
struct Elements<'a> {
    values: &'a mut Vec<f32>,
    depth: usize,
}

impl Elements<'_> {
    fn number<E: Error>(self, value: f64) -> Result<Vec<usize>, E> {
        self.values.push(value as f32);
        Ok(Vec::new())
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = Vec<usize>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("numbers in lists of equal length")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        self.number(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        self.number(value as f64)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        self.number(value as f64)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let Self { values, depth } = self;
        if depth == DEEPEST {
            return Err(A::Error::custom(format!("found lists in more than {DEEPEST} lists")));
        }
        let (mut count, mut shape): (usize, Option<Vec<usize>>) = (0, None);
        while let Some(item) = items.next_element_seed(Element { values: &mut *values, depth: depth + 1 })? {
            if shape.as_ref().is_some_and(|shape| *shape != item) {
                return Err(A::Error::custom("found lists of different lengths, expected equal lengths"));
            }
            (count, shape) = (count + 1, Some(item));
        }
        let mut shape = shape.unwrap_or_default();
        shape.push(count);
        Ok(shape)
    }
}

/// An item of a list.
struct Element<'a> {
    values: &'a mut Vec<f32>,
    depth: usize,
}

impl<'de> serde::de::DeserializeSeed<'de> for Element<'_> {
    type Value = Vec<usize>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(Elements { values: self.values, depth: self.depth })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_equal_length_are_an_array() {
        let read = |json: &str| serde_json::from_str::<Array>(json).map_err(|error| error.to_string());
        assert_eq!(read("[[1, 2.5, -3]]"), Ok(Array { shape: vec![1, 3], values: vec![1.0, 2.5, -3.0] }));
        assert_eq!(read("[]"), Ok(Array { shape: vec![0], values: vec![] }));
        assert_eq!(read("0.1"), Ok(Array { shape: vec![], values: vec![0.1] }));
        assert!(read("[[1], [2, 3]]").unwrap_err().contains("different lengths"));
        assert!(read("[[[[[1]]]]]").unwrap_err().contains("more than 4"));
        assert!(read("[null]").unwrap_err().contains("expected numbers"));
        assert!(read("[NaN]").is_err());
    }
}
