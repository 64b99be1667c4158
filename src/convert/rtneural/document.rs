//! The parts of a file, without any meaning: typed, so that no file needs much more memory than its
//! own size.

use super::{super::check_ignored as check_names, array::Array};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{fmt, marker::PhantomData};

/// The most layers, tensors or keys in a list or an object.
const MOST: usize = 1024;

/// A key with its value, in the order of the file.
pub(super) type Entries<T> = Vec<(String, T)>;

/// A file.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) layers: Option<Vec<LayerEntry>>,
    pub(super) model_data: Option<Entries<Value>>,
    pub(super) state_dict: Option<Entries<Array>>,
    /// All other keys.
    pub(super) others: Entries<Value>,
}

/// A layer of RTNeural.
#[derive(Debug, Default)]
pub(super) struct LayerEntry {
    pub(super) weights: Vec<Array>,
    /// All other keys.
    pub(super) others: Entries<Value>,
}

/// A value that is not a weight.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// A list; its last number, if it ends in one.
    List(Option<f64>),
    Object,
}

impl Document {
    /// Checks that the names to ignore occur in the file.
    pub(super) fn check_ignored(&self, ignore: &[String]) -> Result<(), String> {
        let mut names: Vec<String> = self.others.iter().map(|(name, _)| name.clone()).collect();
        names.extend(self.state_dict.iter().flatten().map(|(name, _)| name.clone()));
        names.extend(self.model_data.iter().flatten().map(|(name, _)| format!("model_data.{name}")));
        for (index, layer) in self.layers.iter().flatten().enumerate() {
            names.push(format!("layers.{index}"));
            names.extend(layer.others.iter().map(|(name, _)| format!("layers.{index}.{name}")));
        }
        check_names(ignore, names.iter().map(String::as_str))
    }
}

/// Finds a key.
pub(super) fn find<'a>(entries: &'a Entries<Value>, key: &str) -> Option<&'a Value> {
    entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(DocumentKeys)
    }
}

struct DocumentKeys;

impl<'de> Visitor<'de> for DocumentKeys {
    type Value = Document;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object with the key layers or state_dict")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut document = Document::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "layers" => set("layers", &mut document.layers, map.next_value::<List<_>>()?.0)?,
                "model_data" => {
                    set("model_data", &mut document.model_data, map.next_value::<Object<_>>()?.0)?
                }
                "state_dict" => {
                    set("state_dict", &mut document.state_dict, map.next_value::<Object<_>>()?.0)?
                }
                _ => push(&mut document.others, key, map.next_value()?)?,
            }
        }
        Ok(document)
    }
}

impl<'de> Deserialize<'de> for LayerEntry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(LayerKeys)
    }
}

struct LayerKeys;

impl<'de> Visitor<'de> for LayerKeys {
    type Value = LayerEntry;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a layer, an object with the key type")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LayerEntry, A::Error> {
        let (mut weights, mut others) = (None, Entries::new());
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "weights" => set("weights", &mut weights, map.next_value::<List<_>>()?.0)?,
                _ => push(&mut others, key, map.next_value()?)?,
            }
        }
        Ok(LayerEntry { weights: weights.unwrap_or_default(), others })
    }
}

/// Stores the value of a key; an error if it has one already.
fn set<T, E: Error>(key: &str, to: &mut Option<T>, value: T) -> Result<(), E> {
    match to.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom(format!("found the key {key} twice"))),
    }
}

/// Appends a key with its value; an error if the key is there already, or if there are too many.
fn push<T, E: Error>(to: &mut Entries<T>, key: String, value: T) -> Result<(), E> {
    if to.len() == MOST || to.iter().any(|(name, _)| *name == key) {
        return Err(E::custom(format!("found a key twice, or more than {MOST} keys")));
    }
    to.push((key, value));
    Ok(())
}

/// A list of at most [`MOST`] items.
struct List<T>(Vec<T>);

/// An object with at most [`MOST`] keys.
struct Object<T>(Entries<T>);

struct ListItems<T>(PhantomData<T>);

struct ObjectKeys<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(ListItems(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListItems<T> {
    type Value = List<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            if list.len() == MOST {
                return Err(A::Error::custom(format!("found more than {MOST} items")));
            }
            list.push(item);
        }
        Ok(List(list))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectKeys(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectKeys<T> {
    type Value = Object<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<T>, A::Error> {
        let mut entries = Entries::new();
        while let Some(key) = map.next_key::<String>()? {
            push(&mut entries, key, map.next_value()?)?;
        }
        Ok(Object(entries))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut last = None;
        while let Some(item) = items.next_element()? {
            last = match item {
                Value::Number(number) => Some(number),
                _ => None,
            };
        }
        Ok(Value::List(last))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object)
    }
}
