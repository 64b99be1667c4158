//! The native part of the Python package `unrolled`: layers, streams, language models and training
//! runs over the public interface of the library.
//!
//! All arithmetic runs without the lock of the Python interpreter. Arrays of f32 in row-major order
//! are read where they are; all others are converted once.

mod arrays;
mod call;
mod errors;
mod language_model;
mod model;
mod network;
mod optimizer;
mod packed;
mod settings;
mod shape;
mod stack;
mod states;
mod stream;
mod training;

use pyo3::prelude::*;

#[pymodule]
fn _unrolled(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("Error", module.py().get_type::<errors::Error>())?;
    module.add_class::<network::Network>()?;
    module.add_class::<stream::Stream>()?;
    module.add_class::<optimizer::Optimizer>()?;
    module.add_class::<language_model::LanguageModel>()?;
    module.add_class::<training::Run>()?;
    module.add_class::<model::Model>()?;
    module.add_function(wrap_pyfunction!(training::train, module)?)?;
    module.add_function(wrap_pyfunction!(settings::check_precision, module)?)?;
    module.add_function(wrap_pyfunction!(isa, module)?)
}

/// The SIMD backend in use: `portable`, `avx2`, `avx512`, `avx512bf16` or `amx`.
#[pyfunction]
fn isa() -> PyResult<&'static str> {
    unrolled::exec::isa().map_err(errors::raise)
}
