//! Models from and to files of other programs.

mod golden;
mod goldens;
mod onnx_file;
mod onnxruntime;
mod refused_onnx;
mod refused_others;
mod round_trips;
