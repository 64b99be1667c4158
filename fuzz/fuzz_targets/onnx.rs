//! Bytes that are read as ONNX must give a model that can be saved, and that its own ONNX file gives
//! again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use unrolled::checkpoint::Checkpoint;
use unrolled::convert::{Format, Options, detect, from_bytes, onnx};

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzzed.onnx");
    if !detect(bytes, path).is_ok_and(|format| format == Format::Onnx) {
        return;
    }
    let Ok(converted) = from_bytes(bytes.to_vec(), path, &Options::default()) else { return };
    assert!(converted.parts.iter().all(|part| !part.became.is_empty()));
    let saved = converted.checkpoint().expect("a checkpoint").to_bytes().expect("what is read can be saved");
    let loaded = Checkpoint::from_bytes(&saved, path).expect("what was saved loads");
    assert_eq!(loaded.model().expect("a model"), converted.model);
    let written = onnx::to_bytes(&converted.model).expect("what is read can be written");
    let again = from_bytes(written, path, &Options::default()).expect("its own file");
    assert_eq!(again.model.config(), converted.model.config());
    assert_eq!(again.model.parameters(), converted.model.parameters());
});
