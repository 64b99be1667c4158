//! The protobuf messages of TensorFlow's event files, and their framing as `tfrecord`.
//!
//! The messages have the fields used here of TensorFlow's
//! [event.proto](https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto),
//! summary.proto, tensor.proto and tensor_shape.proto, by their numbers. The framing is that of
//! [TFRecord](https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).

use prost::Message;

/// Appends one record: length and bytes, each with its masked checksum.
pub(super) fn append_record(event: &EventProto, bytes: &mut Vec<u8>) {
    let (data, length) = (event.encode_to_vec(), (event.encoded_len() as u64).to_le_bytes());
    bytes.extend(length);
    bytes.extend(masked_checksum(&length).to_le_bytes());
    bytes.extend(&data);
    bytes.extend(masked_checksum(&data).to_le_bytes());
}

/// Returns the CRC-32C of some bytes as TensorFlow masks it.
pub(super) fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Returns an event with some values.
pub(super) fn event(step: u64, wall_time: f64, value: Vec<ValueProto>) -> EventProto {
    let step = i64::try_from(step).unwrap_or(i64::MAX);
    EventProto { wall_time, step, summary: Some(SummaryProto { value }), ..EventProto::default() }
}

/// Returns a number under a tag.
pub(super) fn scalar(tag: &str, value: f64) -> ValueProto {
    ValueProto { tag: tag.into(), simple_value: Some(value as f32), ..ValueProto::default() }
}

/// Returns a text under a tag.
pub(super) fn text(tag: &str, text: &str) -> ValueProto {
    let plugin_data = Some(PluginDataProto { plugin_name: "text".into() });
    let tensor = TensorProto { dtype: DT_STRING, shape: Some(ShapeProto {}), string_val: vec![text.into()] };
    ValueProto {
        tag: tag.into(),
        metadata: Some(MetadataProto { plugin_data }),
        tensor: Some(tensor),
        ..ValueProto::default()
    }
}

/// `SessionLog.SessionStatus.START`.
pub(super) const SESSION_START: i32 = 1;
/// `DataType.DT_STRING`.
const DT_STRING: i32 = 7;

/// One record of an event file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EventProto {
    #[prost(double, tag = "1")]
    pub(super) wall_time: f64,
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    #[prost(string, optional, tag = "3")]
    pub(super) file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub(super) summary: Option<SummaryProto>,
    #[prost(message, optional, tag = "7")]
    pub(super) session_log: Option<SessionLogProto>,
}

/// A start of a session; TensorBoard drops what it has read of an earlier file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionLogProto {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

/// The values of an event.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SummaryProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) value: Vec<ValueProto>,
}

/// A value under a tag.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ValueProto {
    #[prost(string, tag = "1")]
    pub(super) tag: String,
    #[prost(float, optional, tag = "2")]
    pub(super) simple_value: Option<f32>,
    #[prost(message, optional, tag = "8")]
    pub(super) tensor: Option<TensorProto>,
    #[prost(message, optional, tag = "9")]
    pub(super) metadata: Option<MetadataProto>,
}

/// Says which plugin shows a value.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MetadataProto {
    #[prost(message, optional, tag = "1")]
    pub(super) plugin_data: Option<PluginDataProto>,
}

/// The plugin that shows a value.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PluginDataProto {
    #[prost(string, tag = "1")]
    pub(super) plugin_name: String,
}

/// A text.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorProto {
    #[prost(int32, tag = "1")]
    pub(super) dtype: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<ShapeProto>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub(super) string_val: Vec<Vec<u8>>,
}

/// The shape of a scalar.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ShapeProto {}
