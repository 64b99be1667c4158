//! Bytes that are read as JSON of RTNeural or GuitarML must give a model that can be saved. If it can
//! be written as RTNeural's JSON, it is read again and gives the same JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use unrolled::checkpoint::Checkpoint;
use unrolled::convert::{Format, Options, detect, from_bytes, rtneural};

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzzed.json");
    if !detect(bytes, path).is_ok_and(|format| format == Format::RtNeural) {
        return;
    }
    let Ok(converted) = from_bytes(bytes.to_vec(), path, &Options::default()) else { return };
    assert!(converted.parts.iter().all(|part| !part.became.is_empty()));
    let saved = converted.checkpoint().expect("a checkpoint").to_bytes().expect("what is read can be saved");
    let loaded = Checkpoint::from_bytes(&saved, path).expect("what was saved loads");
    assert_eq!(loaded.model().expect("a model"), converted.model);
    let Ok(json) = rtneural::to_json(&converted.model) else { return };
    // Sums of biases may overflow.
    let Ok(again) = from_bytes(json.clone().into_bytes(), path, &Options::default()) else { return };
    assert_eq!(rtneural::to_json(&again.model).expect("its own layers"), json);
});
