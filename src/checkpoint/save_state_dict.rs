//! Writes parameters as a plain safetensors file.

use super::{encode::little_endian, replace_file::replace_file, tensor_file::prefix};
use crate::{Error, Result, model::Parameters};
use safetensors::tensor::{Dtype, TensorView};
use std::{borrow::Cow, collections::BTreeMap, path::Path};

/// A tensor's shape and its bytes in the file.
type Stored<'a> = (&'a [usize], Cow<'a, [u8]>);

/// Writes the parameters of some members to a safetensors file: first a temporary file beside
/// `path`, which is synced and renamed. In PyTorch,
/// `module.load_state_dict(safetensors.torch.load_file(path))` reads it.
///
/// Names start with the name of their member and a dot, or with nothing if that is empty, as
/// [`TensorFile`](super::TensorFile) reads them.
///
/// ```no_run
/// use unrolled::Layer;
/// use unrolled::checkpoint::save_state_dict;
/// use unrolled::model::Model;
///
/// # fn main() -> unrolled::Result<()> {
/// let layer = Layer { bidirectional: true, ..Layer::gru(8) };
/// let stack = Model::of_layers(&[layer.clone(), layer], 3, None, 1)?;
/// // encoder.weight_ih_l0, ..., encoder.bias_hh_l1_reverse
/// let parameters = stack.parameters().member("rnn");
/// save_state_dict("encoder.safetensors".as_ref(), &[("encoder", &parameters)])?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Tensor`] for a value that is not finite and for two tensors with the same name;
/// [`Error::Io`] if the file cannot be written. On an error the old file stays as it was.
pub fn save_state_dict(path: &Path, members: &[(&str, &Parameters)]) -> Result<()> {
    let mut tensors: BTreeMap<String, Stored<'_>> = BTreeMap::new();
    for (module, parameters) in members {
        for (entry, values) in parameters.iter() {
            let name = prefix(module) + &entry.name;
            check_finite(&name, values)?;
            let stored = (entry.shape.as_slice(), little_endian(values));
            if tensors.insert(name.clone(), stored).is_some() {
                return Err(Error::tensor(
                    name,
                    "two tensors with this name",
                    "members with different names",
                ));
            }
        }
    }
    let views = tensors.iter().map(|(name, (shape, bytes))| Ok((name, view(name, shape, bytes)?)));
    let views = views.collect::<Result<Vec<_>>>()?;
    let bytes = safetensors::serialize(views, None)
        .map_err(|error| Error::tensor("(all tensors)", error.to_string(), "tensors that fit the format"))?;
    replace_file(path, |out| out.write_all(&bytes))
}

fn check_finite(name: &str, values: &[f32]) -> Result<()> {
    match values.iter().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) => Err(Error::tensor(name, value.to_string(), "finite numbers")),
    }
}

fn view<'a>(name: &str, shape: &[usize], bytes: &'a [u8]) -> Result<TensorView<'a>> {
    TensorView::new(Dtype::F32, shape.to_vec(), bytes)
        .map_err(|error| Error::tensor(name, format!("{} bytes", bytes.len()), error.to_string()))
}
