"""Opens a checkpoint in PyTorch, runs it on a sequence of ids, and prints the logits as JSON.

usage: python3 check_checkpoint.py CHECKPOINT [--ids FILE | --length N] [--compare FILE] [--double]

Needs `torch` and `safetensors`. The output is one object: {"ids": [T], "symbols": V, "logits": [T][V], "compared": D};
one row of the batch, from a zero state. `--ids` reads integers parted by spaces or commas (a JSON list will do).
Without it the ids are a fixed pseudo-random sequence: x <- (1103515245 x + 12345) mod 2^31 from x = 1, id = (x >> 16)
mod V. `--compare` reads an object with `logits` of the same shape, and exits 1 when one of them differs by more than
1e-6 + 1e-5 |reference|.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn


def load(path):
    """The checkpoint as PyTorch modules, with its configuration."""
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["config"])
        names = [name for name in file.keys() if name.startswith(("embedding.", "rnn.", "head."))]
        tensors = {name: file.get_tensor(name) for name in names}
    symbols, hidden = tensors["head.weight"].shape
    width = tensors["rnn.weight_ih_l0"].shape[1]
    kind = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[config["cell"]]
    extra = {"nonlinearity": config["activation"]} if config["cell"] == "rnn" else {}
    rnn = kind(width, hidden, config["layers"], **extra)
    model = nn.ModuleDict({"rnn": rnn, "head": nn.Linear(hidden, symbols)})
    if config["input"] == "embedding":
        model["embedding"] = nn.Embedding(symbols, width)
    model.load_state_dict(tensors)
    return model, config


def agrees(path, config):
    """What the metadata says against what the tensors are; a list of complaints."""
    with safe_open(path, "pt") as file:
        metadata, shapes = file.metadata(), {name: file.get_slice(name).get_shape() for name in file.keys()}
    found = {"hidden": shapes["head.weight"][1]}
    found["layers"] = sum(bool(re.fullmatch(r"rnn\.weight_hh_l\d+", name)) for name in shapes)
    found["input"] = "embedding" if "embedding.weight" in shapes else "one-hot"
    if "embedding.weight" in shapes and config.get("embedding") is not None:
        found["embedding"] = shapes["embedding.weight"][1]
    wrong = {key: value for key, value in found.items() if config[key] != value}
    complaints = [f"{key}: config says {config[key]}, tensors say {value}" for key, value in wrong.items()]
    vocabulary = json.loads(metadata["vocabulary"]) if "vocabulary" in metadata else None
    if isinstance(vocabulary, (list, str)) and len(vocabulary) != shapes["head.weight"][0]:
        complaints.append(f"vocabulary: {len(vocabulary)} symbols, head.weight has {shapes['head.weight'][0]} rows")
    return complaints


def pseudo_random(length, symbols):
    x, ids = 1, []
    for _ in range(length):
        x = (1103515245 * x + 12345) % 2**31
        ids.append((x >> 16) % symbols)
    return ids


@torch.inference_mode()
def logits_of(model, config, ids, dtype):
    """[T, V], from a zero state, without a batch dimension."""
    model.to(dtype)
    ids = torch.tensor(ids)
    one_hot = nn.functional.one_hot(ids, model["head"].out_features).to(dtype)
    hidden, _ = model["rnn"](model["embedding"](ids) if config["input"] == "embedding" else one_hot)
    return model["head"](hidden)


def compare(logits, path):
    """Largest difference, and whether every logit lies within the tolerance."""
    other = torch.tensor(json.loads(Path(path).read_text())["logits"], dtype=torch.float64)
    if other.shape != logits.shape:
        sys.exit(f"{path}: logits of shape {list(other.shape)}, expected {list(logits.shape)}")
    difference = (other - logits.double()).abs()
    return difference.max().item(), bool((difference <= 1e-6 + 1e-5 * logits.double().abs()).all())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("--ids")
    parser.add_argument("--length", type=int, default=40)
    parser.add_argument("--compare")
    parser.add_argument("--double", action="store_true", help="compute in float64")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, config = load(arguments.checkpoint)
    if config["cell"] == "gru" and config["reset"] == "before":
        sys.exit(f"{arguments.checkpoint}: nn.GRU applies its reset gate after the product; this GRU has it before")
    if complaints := agrees(arguments.checkpoint, config):
        sys.exit(f"{arguments.checkpoint}: {'; '.join(complaints)}")
    symbols = model["head"].out_features
    given = arguments.ids and [int(number) for number in re.findall(r"-?\d+", Path(arguments.ids).read_text())]
    ids = given or pseudo_random(arguments.length, symbols)
    logits = logits_of(model, config, ids, torch.float64 if arguments.double else torch.float32)
    result = {"ids": ids, "symbols": symbols, "logits": logits.tolist()}
    close = True
    if arguments.compare:
        result["compared"], close = compare(logits, arguments.compare)
    print(json.dumps(result))
    sys.exit(0 if close else 1)


main()
