//! The exported functions give the bits of the Rust functions.

mod allocations;
mod files;
mod handles;
mod models;
mod networks;
mod precisions;
mod step_time;

use super::*;
use std::ffi::{CStr, CString, c_int};
use std::path::Path;
use std::ptr;
use unrolled::checkpoint::Checkpoint;
use unrolled::model::Model;
use unrolled::train::{Trainer, TrainerSettings};

/// Returns the text of the last error of this thread.
fn last_error() -> String {
    // SAFETY: the text ends with NUL, and is copied before the next call.
    unsafe { CStr::from_ptr(unrolled_last_error()) }.to_str().expect("UTF-8").to_owned()
}

/// Checks that a call succeeds.
#[track_caller]
fn ok(status: c_int) {
    assert_eq!(status, 0, "{}", last_error());
}

/// Checks that a call fails with a status and words of its text.
#[track_caller]
fn fails(status: c_int, expected: unrolled_status, words: &str) {
    assert_eq!(status, expected as c_int, "{}", last_error());
    assert!(last_error().contains(words), "{}", last_error());
}

fn c_path(path: &Path) -> CString {
    CString::new(path.to_str().expect("UTF-8")).expect("no NUL")
}

/// Returns `count` values from -1 to 1.
fn values(count: usize, seed: u32) -> Vec<f32> {
    let draw = |i: u32| (i.wrapping_mul(2_654_435_761).wrapping_add(seed << 7) >> 8) as f32;
    (0..count as u32).map(|i| draw(i) / (1 << 23) as f32 - 1.0).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn checkpoint(model: &Model) -> Checkpoint {
    Trainer::new(model.clone(), TrainerSettings::adam(1e-3))
        .expect("a trainer")
        .checkpoint()
        .expect("a checkpoint")
}

/// A model of a file, which is freed when dropped.
struct Loaded(*mut unrolled_model);

impl Loaded {
    fn new(model: &Model, threads: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.safetensors");
        checkpoint(model).save_model(&path).expect("saved");
        Self::of(&path, threads)
    }

    fn of(path: &Path, threads: usize) -> Self {
        let mut loaded = ptr::null_mut();
        // SAFETY: valid pointers.
        ok(unsafe { unrolled_model_load_threads(c_path(path).as_ptr(), threads, &raw mut loaded) });
        Self(loaded)
    }

    fn stream(&self, batch: usize) -> Streamed {
        let mut stream = ptr::null_mut();
        // SAFETY: a handle and a valid pointer.
        ok(unsafe { unrolled_stream_new(self.0, batch, &raw mut stream) });
        Streamed(stream)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // SAFETY: the handle is used no more.
        unsafe { unrolled_model_free(self.0) };
    }
}

/// A stream, which is freed when dropped.
struct Streamed(*mut unrolled_stream);

impl Drop for Streamed {
    fn drop(&mut self) {
        // SAFETY: the handle is used no more.
        unsafe { unrolled_stream_free(self.0) };
    }
}
