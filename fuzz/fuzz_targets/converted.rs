//! Models from files of other programs.

use std::path::Path;
use unrolled::checkpoint::Checkpoint;
use unrolled::convert::{Format, Options, detect, from_bytes};
use unrolled::model::Model;

/// Reads bytes of this format, if they are. The model must give the same one after it was saved.
pub fn model(bytes: &[u8], format: Format) -> Option<Model> {
    let path = Path::new("fuzzed");
    detect(bytes, path).ok().filter(|found| *found == format)?;
    let converted = from_bytes(bytes.to_vec(), path, &Options::default()).ok()?;
    assert!(converted.parts.iter().all(|part| !part.became.is_empty()));
    let saved = converted.checkpoint().expect("a checkpoint").to_bytes().expect("what is read can be saved");
    let loaded = Checkpoint::from_bytes(&saved, path).expect("what was saved loads");
    assert_eq!(loaded.model().expect("a model"), converted.model);
    Some(converted.model)
}
