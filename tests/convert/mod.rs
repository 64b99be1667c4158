//! Models from and to files of other programs.

mod goldens;
mod golden;
mod onnxruntime;
mod refused_onnx;
mod refused_others;
mod round_trips;
