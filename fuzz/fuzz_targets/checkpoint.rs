//! Bytes that load as a checkpoint must save to bytes that load as an equal checkpoint and save to
//! the same bytes again. Every imported checkpoint can be saved and loaded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use unrolled::checkpoint::{Checkpoint, Import, TensorFile};

const PREFIX: &[u8] = br#"{"__metadata__":{"checksum":""#;

/// Corrects the checksum, so that inputs reach the code after the check.
fn sign(bytes: &mut [u8]) {
    let start = 8 + PREFIX.len();
    if bytes.len() < start + 8 {
        return;
    }
    bytes[start..start + 8].copy_from_slice(b"00000000");
    let checksum = format!("{:08x}", crc32fast::hash(bytes));
    bytes[start..start + 8].copy_from_slice(checksum.as_bytes());
}

fn import(bytes: &[u8], path: &Path) {
    let Ok(file) = TensorFile::from_bytes(bytes.to_vec(), path) else { return };
    let Ok(imported) = Import::default().read(&file) else { return };
    let saved = imported.checkpoint.to_bytes().expect("what is imported can be saved");
    Checkpoint::from_bytes(&saved, path).expect("what was saved loads");
}

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    sign(&mut bytes);
    let path = Path::new("fuzzed.safetensors");
    import(&bytes, path);
    let Ok(first) = Checkpoint::from_bytes(&bytes, path) else { return };
    let saved = first.to_bytes().expect("what loads can be saved");
    let second = Checkpoint::from_bytes(&saved, path).expect("what was saved loads");
    assert_eq!(saved, second.to_bytes().expect("what loads can be saved"));
    assert_eq!(first.settings, second.settings);
    assert_eq!(first.progress, second.progress);
});
