//! Bytes that are read as ONNX must give a model that can be saved, and that its own ONNX file gives
//! again.
#![no_main]

mod converted;

use libfuzzer_sys::fuzz_target;
use unrolled::convert::{Format, onnx};

fuzz_target!(|bytes: &[u8]| {
    let Some(model) = converted::model(bytes, Format::Onnx) else { return };
    let written = onnx::to_bytes(&model).expect("what is read can be written");
    let again = converted::model(&written, Format::Onnx).expect("its own file");
    assert_eq!(again.config(), model.config());
    assert_eq!(again.parameters(), model.parameters());
});
