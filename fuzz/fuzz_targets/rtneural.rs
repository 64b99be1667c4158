//! Bytes that are read as JSON of RTNeural or GuitarML must give a model that can be saved. If it can
//! be written as RTNeural's JSON, it is read again and gives the same JSON.
#![no_main]

mod converted;

use libfuzzer_sys::fuzz_target;
use unrolled::convert::{Format, rtneural};

fuzz_target!(|bytes: &[u8]| {
    let Some(model) = converted::model(bytes, Format::RtNeural) else { return };
    let Ok(json) = rtneural::to_json(&model) else { return };
    // Sums of biases may overflow.
    let Some(again) = converted::model(json.as_bytes(), Format::RtNeural) else { return };
    assert_eq!(rtneural::to_json(&again).expect("its own layers"), json);
});
