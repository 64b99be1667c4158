"""Writes the goldens that come from PyTorch: see README.md beside this file."""

import numpy as np
import torch
from torch import nn

from golden import Case, report, save

torch.set_num_threads(1)
SOURCE = {"framework": "torch", "version": torch.__version__}

# (input, layers, H, E, V). H = 16 is one block of units, 17 and 19 lie past its border, 33 past the second; the rest
# are small, which keeps the folder small too.
SHAPES = [
    ("embedding", 1, 16, 5, 11),
    ("embedding", 2, 17, 3, 5),
    ("embedding", 3, 5, 3, 7),
    ("one-hot", 1, 19, None, 3),
    ("one-hot", 2, 9, None, 5),
    ("one-hot", 3, 5, None, 11),
]
WIDE = [(*shape[:2], 33, *shape[3:]) if shape[2] == 19 else shape for shape in SHAPES]
CELLS = [("lstm", "tanh", WIDE), ("gru", "tanh", SHAPES), ("rnn", "tanh", WIDE), ("rnn", "relu", SHAPES)]


def build(case, values, dtype):
    """A module whose state_dict has the project's names."""
    extra = {"nonlinearity": case.activation} if case.cell == "rnn" else {}
    kind = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[case.cell]
    members = {"rnn": kind(case.width, case.hidden, case.layers, **extra)}
    members["head"] = nn.Linear(case.hidden, case.symbols)
    if case.embedding:
        members["embedding"] = nn.Embedding(case.symbols, case.embedding)
    model = nn.ModuleDict(members)
    model.load_state_dict({name: torch.from_numpy(values[name]) for name in case.shapes()})
    return model.to(dtype)


def initial(case, values, dtype):
    names = ("h0", "c0") if case.cell == "lstm" else ("h0",)
    return [torch.from_numpy(values[name]).to(dtype).requires_grad_() for name in names]


def forward(case, model, ids, state):
    """Logits [T, B, V] and the state after the window, a list of h and, for an LSTM, c."""
    one_hot = nn.functional.one_hot(ids, case.symbols).to(state[0].dtype)
    inputs = model["embedding"](ids) if case.embedding else one_hot
    hidden, state = model["rnn"](inputs, tuple(state) if case.cell == "lstm" else state[0])
    return model["head"](hidden), list(state) if case.cell == "lstm" else [state]


def loss_of(logits, targets):
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def window(case, values, inputs, targets, dtype):
    """Everything one forward and one backward pass leave behind."""
    model, start = build(case, values, dtype), initial(case, values, dtype)
    logits, end = forward(case, model, inputs, start)
    loss = loss_of(logits, targets)
    loss.backward()
    result = {"logits": logits, "loss": loss} | dict(zip(("h_n", "c_n"), end))
    result |= {f"grad.{name}": parameter.grad for name, parameter in model.named_parameters()}
    result |= {f"grad.{name}": state.grad for name, state in zip(("h0", "c0"), start)}
    return {name: tensor.detach().numpy() for name, tensor in result.items()}


def write_window(case):
    values = case.draw()
    inputs, targets = (ids[0] for ids in case.ids())
    run = lambda dtype: window(case, values, torch.tensor(inputs), torch.tensor(targets), dtype)
    reference = run(torch.float64)
    report(case.name, reference, run(torch.float32))
    words = {"dtype": "float64, stored as float32", "loss": "mean over steps and rows", "symbols": case.symbols}
    save(case.name, values | {"inputs": inputs, "targets": targets} | reference, case.config(), **SOURCE, **words)


# Not sorted; one and all of the steps among them.
LENGTHS = [4, 7, 1, 7, 2]


def ragged(case, values, inputs, targets, dtype):
    """The same for rows of LENGTHS, as packed sequences: the mean loss is over the symbols that there are."""
    model, start = build(case, values, dtype), initial(case, values, dtype)
    mask = torch.arange(case.steps)[:, None] < torch.tensor(LENGTHS)
    one_hot = nn.functional.one_hot(inputs, case.symbols).to(dtype)
    vectors = model["embedding"](inputs) if case.embedding else one_hot
    packed = nn.utils.rnn.pack_padded_sequence(vectors, LENGTHS, enforce_sorted=False)
    packed, end = model["rnn"](packed, tuple(start) if case.cell == "lstm" else start[0])
    hidden, _ = nn.utils.rnn.pad_packed_sequence(packed, total_length=case.steps)
    logits = model["head"](hidden) * mask[:, :, None]
    loss = loss_of(logits, targets.where(mask, -100))
    loss.backward()
    result = {"logits": logits, "loss": loss} | dict(zip(("h_n", "c_n"), end if case.cell == "lstm" else [end]))
    result |= {f"grad.{name}": parameter.grad for name, parameter in model.named_parameters()}
    return {name: tensor.detach().numpy() for name, tensor in result.items()}


def write_ragged(case):
    values = case.draw()
    inputs, targets = (ids[0] for ids in case.ids())
    run = lambda dtype: ragged(case, values, torch.tensor(inputs), torch.tensor(targets), dtype)
    reference = run(torch.float64)
    report(case.name, reference, run(torch.float32))
    words = {"dtype": "float64, stored as float32", "symbols": case.symbols}
    words["loss"] = "mean over the symbols within the rows"
    tensors = {"inputs": inputs, "targets": targets, "lengths": np.array(LENGTHS)}
    save(case.name, values | tensors | reference, case.config(), **SOURCE, **words)


# The threshold lies within the range of the norms, so that some steps are clipped and some are not.
RATE, MOMENTUM, CLIP, STEPS = 0.5, 0.9, 0.25, 10


def train(case, values, inputs, targets, dtype):
    """Ten steps of SGD with momentum, the gradient clipped by its global norm, the state carried over."""
    model = build(case, values, dtype)
    state = [start.detach() for start in initial(case, values, dtype)]
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    losses, norms = [], []
    for ids, wanted in zip(torch.tensor(inputs), torch.tensor(targets)):
        logits, state = forward(case, model, ids, state)
        state = [part.detach() for part in state]
        loss = loss_of(logits, wanted)
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), CLIP)))
        optimizer.step()
        losses.append(loss.item())
    result = {"losses": np.array(losses), "norms": np.array(norms)} | dict(zip(("h_n", "c_n"), state))
    result |= {f"final.{name}": parameter.detach() for name, parameter in model.named_parameters()}
    return {name: np.asarray(tensor) for name, tensor in result.items()}


def write_trace(case):
    values = case.draw()
    inputs, targets = case.ids(STEPS)
    reference = train(case, values, inputs, targets, torch.float64)
    report(case.name, reference, train(case, values, inputs, targets, torch.float32))
    moves = {"optimizer": "sgd", "momentum": MOMENTUM, "learning-rate": RATE, "schedule": "constant"}
    moves |= {"warmup-steps": 0, "clip": CLIP, "clip-mode": "norm", "loss-reduction": "mean"}
    words = {"dtype": "float64, stored as float32", "updates": STEPS, "symbols": case.symbols}
    words["norms"] = "of the whole gradient, before clipping"
    print("  gradient norms before clipping:", np.round(reference["norms"], 2))
    tensors = values | {"inputs": inputs, "targets": targets} | reference
    save(case.name, tensors, case.config(**moves), **SOURCE, **words)


def answer(case, values, signal, dtype):
    """A signal of single numbers [T] through cell and head: [T]."""
    model, start = build(case, values, dtype), initial(case, values, dtype)
    inputs = torch.from_numpy(signal).to(dtype)[:, None, None]
    hidden, end = model["rnn"](inputs, tuple(start) if case.cell == "lstm" else start[0])
    result = {"answers": model["head"](hidden).flatten()}
    result |= dict(zip(("h_n", "c_n"), end if case.cell == "lstm" else [end]))
    return {name: tensor.detach().numpy() for name, tensor in result.items()}


def write_signal(case):
    values, signal = case.draw(), case.uniform("signal", case.steps, 1.0)
    reference = answer(case, values, signal, torch.float64)
    report(case.name, reference, answer(case, values, signal, torch.float32))
    words = {"dtype": "float64, stored as float32", "symbols": case.symbols}
    save(case.name, values | {"signal": signal} | reference, case.config(), **SOURCE, **words)


for cell, activation, shapes in CELLS:
    for kind, layers, hidden, embedding, symbols in shapes:
        label = f"{cell}-{activation}" if cell == "rnn" else cell
        name = f"torch-{label}-{kind}-l{layers}-h{hidden}"
        write_window(Case(name, cell, hidden, layers, embedding, activation, symbols=symbols))
write_ragged(Case("torch-ragged-lstm", "lstm", 9, 2, 3))
write_ragged(Case("torch-ragged-gru", "gru", 9, 2, None))
write_ragged(Case("torch-ragged-rnn", "rnn", 17, 1, None))
write_trace(Case("torch-trace-lstm", "lstm", 9, 1, 7))
write_trace(Case("torch-trace-gru", "gru", 7, 2, None))
write_signal(Case("torch-fixed-lstm-h16", "lstm", 16, 1, None, symbols=1, batch=1, steps=40))
write_signal(Case("torch-fixed-gru-h24", "gru", 24, 1, None, symbols=1, batch=1, steps=40))
