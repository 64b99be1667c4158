"""What both generators share: a case's sizes, its parameters drawn from a fixed seed, and how a file is written.

Nothing here knows PyTorch or TensorFlow. Sizes are in the project's alphabet: T steps, B rows, V symbols, E input
width, H hidden width, L layers, G gates.
"""

import json
import pathlib
import zlib
from dataclasses import dataclass

import numpy as np
import safetensors
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).parent
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
# What a reader in f32 has to meet against a reference computed in f64.
RELATIVE, ABSOLUTE = 1e-5, 1e-6


def random(case, purpose):
    """Random numbers that depend on the case's name and on what they are for, and on nothing else."""
    return np.random.default_rng(zlib.crc32(f"{case}/{purpose}".encode()))


@dataclass(frozen=True)
class Case:
    """One model, one window. `embedding` is E, or None for one-hot input."""

    name: str
    cell: str
    hidden: int
    layers: int
    embedding: int | None
    activation: str = "tanh"
    reset: str = "after"
    bias: str = "double"
    symbols: int = 11
    batch: int = 5
    steps: int = 7

    @property
    def width(self):
        return self.embedding or self.symbols

    def config(self, **more):
        """The case in the names of the project's own configuration."""
        config = {
            "cell": self.cell,
            "activation": self.activation,
            "reset": self.reset,
            "bias": self.bias,
            "hidden": self.hidden,
            "layers": self.layers,
            "input": "embedding" if self.embedding else "one-hot",
            "batch": self.batch,
            "steps": self.steps,
            **({"embedding": self.embedding} if self.embedding else {}),
        }
        return config | more

    def shapes(self):
        """Name and shape of every parameter."""
        rows = GATES[self.cell] * self.hidden
        shapes = {"embedding.weight": (self.symbols, self.embedding)} if self.embedding else {}
        for layer in range(self.layers):
            shapes[f"rnn.weight_ih_l{layer}"] = (rows, self.hidden if layer else self.width)
            shapes[f"rnn.weight_hh_l{layer}"] = (rows, self.hidden)
            shapes[f"rnn.bias_ih_l{layer}"] = (rows,)
            shapes[f"rnn.bias_hh_l{layer}"] = (rows,)
        return shapes | {"head.weight": (self.symbols, self.hidden), "head.bias": (self.symbols,)}

    def random(self, purpose):
        return random(self.name, purpose)

    def draw(self, scale=1.5):
        """Parameters and initial state in f32. Scaled so that gates leave the linear range without saturating."""
        bound = scale / np.sqrt(self.hidden)
        tensors = {name: self.uniform(name, shape, bound) for name, shape in self.shapes().items()}
        if self.embedding:
            tensors["embedding.weight"] = self.uniform("embedding.weight", (self.symbols, self.embedding), 1.0)
        if self.bias == "single":
            for layer in range(self.layers):
                tensors[f"rnn.bias_hh_l{layer}"][:] = 0
        for name in ("h0", "c0") if self.cell == "lstm" else ("h0",):
            tensors[name] = self.uniform(name, (self.layers, self.batch, self.hidden), 0.75)
        return tensors

    def uniform(self, name, shape, bound):
        return self.random(name).uniform(-bound, bound, shape).astype(np.float32)

    def ids(self, windows=1):
        """Inputs and targets [windows, T, B]: the targets are the inputs one step on."""
        length = windows * self.steps
        stream = self.random("ids").integers(0, self.symbols, (length + 1, self.batch))
        shape = (windows, self.steps, self.batch)
        return stream[:-1].reshape(shape), stream[1:].reshape(shape)


# The optimisers' problem: a vector of SIZE, and the gradient of each of UPDATES updates.
SIZE, UPDATES = 37, 10


def draw_gradients():
    """Magnitudes from 1e-9 to 10, so that epsilon and its place show; a tenth of them exactly zero."""
    random = np.random.default_rng(5)
    size = 10.0 ** random.uniform(-9, 1, SIZE)
    gradients = random.normal(size=(UPDATES, SIZE)) * size
    gradients[random.random(gradients.shape) < 0.1] = 0
    return random.uniform(-0.1, 0.1, SIZE).astype(np.float32), gradients.astype(np.float32)


def excess(reference, single):
    """Largest share of the tolerance that a framework's own f32 result uses; more than 1 fails."""
    return max(
        float(np.max(np.abs(single[name] - value) / (ABSOLUTE + RELATIVE * np.abs(value))))
        for name, value in reference.items()
    )


def difference(reference, single):
    """Largest absolute difference between the f64 and the f32 result."""
    return max(float(np.max(np.abs(single[name] - value))) for name, value in reference.items())


def save(name, tensors, config, folder=FOLDER, **metadata):
    """Writes one file: floats as f32, integers as int64, and every word about them as strings."""
    kept = {}
    for key, value in tensors.items():
        value = np.asarray(value)
        kind = np.int64 if value.dtype.kind == "i" else np.float32
        kept[key] = np.ascontiguousarray(value, dtype=kind)
    metadata |= {"case": name, "config": json.dumps(config), "numpy": np.__version__}
    metadata["safetensors"] = safetensors.__version__
    path = pathlib.Path(folder) / f"{name}.safetensors"
    save_file(kept, path, {key: str(value) for key, value in metadata.items()})
    sort_header(path)


def sort_header(path):
    """The library writes metadata in random order; sorted, a second run gives the same bytes."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[end:])


def report(name, reference, single):
    """One row of the README's table. Fails when f32 arithmetic itself cannot meet the tolerance."""
    share = excess(reference, single)
    print(f"| {name} | {difference(reference, single):.1e} | {share:.2f} |", flush=True)
    assert share < 1, f"{name}: f32 leaves the tolerance"
