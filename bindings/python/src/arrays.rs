//! NumPy arrays in and out.

use crate::errors::invalid;
use numpy::ndarray::{ArrayD, IxDyn};
use numpy::{IntoPyArray, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::IntoPyDict;

/// A row-major array of f32 for Python.
pub type Array<'py> = Bound<'py, PyArrayDyn<f32>>;

/// A row-major array of f32 from Python. It is the caller's array if that is one already, otherwise
/// a converted copy.
pub struct Floats<'py>(PyReadonlyArrayDyn<'py, f32>);

impl<'py> Floats<'py> {
    /// Reads `object`, the argument `name`.
    pub fn of(name: &str, object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Some(array) = plain(object) {
            return Ok(Self(array));
        }
        let array = as_array(object)?;
        match plain(&array) {
            Some(array) => Ok(Self(array)),
            None => Ok(Self(convert(name, &array)?.readonly())),
        }
    }

    /// The shape of the array.
    pub fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    /// The values of the array.
    pub fn values(&self) -> &[f32] {
        self.0.as_slice().unwrap_or_default()
    }

    /// Returns an error unless the array has a shape.
    pub fn check_shape(&self, name: &str, expected: &[usize]) -> PyResult<()> {
        match self.shape() == expected {
            true => Ok(()),
            false => {
                Err(invalid(format!("{name} of shape {:?}", self.shape()), format!("shape {expected:?}")))
            }
        }
    }
}

/// Returns the array of an object if Rust can read its memory as a slice of f32.
fn plain<'py>(object: &Bound<'py, PyAny>) -> Option<PyReadonlyArrayDyn<'py, f32>> {
    let array = object.cast::<PyArrayDyn<f32>>().ok()?;
    let fits = array.is_c_contiguous() && (array.data() as usize).is_multiple_of(align_of::<f32>());
    fits.then(|| array.readonly())
}

/// Returns an object as an array of NumPy, without a copy where the object offers its memory.
fn as_array<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let dlpack = object.hasattr("__dlpack__")? && !object.hasattr("__array__")?;
    let numpy = object.py().import("numpy")?;
    numpy.call_method1(if dlpack { "from_dlpack" } else { "asarray" }, (object,))
}

/// Converts an array of numbers to a row-major one of f32.
fn convert<'py>(name: &str, array: &Bound<'py, PyAny>) -> PyResult<Array<'py>> {
    let dtype = array.getattr("dtype")?;
    let kind: String = dtype.getattr("kind")?.extract()?;
    if !matches!(kind.as_str(), "f" | "i" | "u" | "b") {
        return Err(invalid(format!("{name} of dtype {dtype}"), "float32, or numbers that convert to it"));
    }
    let options = [("dtype", "float32"), ("order", "C")].into_py_dict(array.py())?;
    Ok(array.py().import("numpy")?.call_method("array", (array,), Some(&options))?.cast_into()?)
}

/// Returns an array of a shape that takes over `values`.
pub fn array<'py>(py: Python<'py>, shape: &[usize], values: Vec<f32>) -> PyResult<Array<'py>> {
    let array =
        ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|error| invalid(error, "another shape"))?;
    Ok(array.into_pyarray(py))
}

/// Reads the lengths of rows, which are whole numbers of at least 0.
pub fn lengths(object: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
    let object = match object.hasattr("tolist")? {
        true => object.call_method0("tolist")?,
        false => object.clone(),
    };
    let lengths: Vec<i64> =
        object.extract().map_err(|_| invalid(format!("lengths {object}"), "a list of whole numbers"))?;
    lengths
        .iter()
        .map(|length| {
            usize::try_from(*length).map_err(|_| invalid(format!("the length {length}"), "at least 0"))
        })
        .collect()
}
