//! The fixed parts of the file format.

use std::ops::Range;

/// `format` in the metadata of every checkpoint.
pub(super) const FORMAT: &str = "unrolled";
/// Version of the format.
pub(super) const VERSION: &str = "1";
/// Start of every header.
pub(super) const PREFIX: &[u8] = br#"{"__metadata__":{"checksum":""#;
/// The digits of the checksum while it is computed.
pub(super) const NO_CHECKSUM: &str = "00000000";
/// The bytes after the checksum in every header.
pub(super) const AFTER_CHECKSUM: &[u8] = br#"","format":"unrolled","version":"1","config":"{"#;
/// Place of the checksum's digits in the file: after the header's length and its start.
pub(super) const CHECKSUM_PLACE: Range<usize> = 8 + PREFIX.len()..16 + PREFIX.len();
/// Largest header in bytes that readers of the safetensors format accept.
pub(super) const LARGEST_HEADER: usize = 100_000_000;

/// Returns a text from a file on one line, for messages.
pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
