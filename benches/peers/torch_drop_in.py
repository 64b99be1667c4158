"""Measures a character model in PyTorch, as it is and with unrolled's layers. Prints a markdown
table.

Needs a Python with torch and the package `unrolled`:

    pip install ./bindings/python
    python benches/peers/torch_drop_in.py --threads 1 2 --cells LSTM GRU

A training step is the whole one: forward, loss, backward, and Adam. Contenders run in turn, each in
a process of its own; the best of several rounds counts. Run nothing else at the same time.
"""

import argparse
import json
import os
import subprocess
import sys
import time

from compare import processor

# layers, hidden, batch rows, steps
SHAPES = {"1x100": (1, 100, 200, 5), "2x128": (2, 128, 50, 50), "2x512": (2, 512, 50, 50)}
VOCABULARY = 96
PACKED = "packed"
BATCH_FIRST = "batch_first"


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", nargs="+", default=["LSTM"], choices=["LSTM", "GRU", "RNN"])
    parser.add_argument("--shapes", nargs="+", default=[*SHAPES, PACKED], choices=[*SHAPES, PACKED])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def best_seconds(run, seconds):
    """The shortest time of a run, after a warm-up."""
    run()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def window_runs(torch, job, batch_first, change):
    """The training step and the inference of a window."""
    from torch_peer import Model

    layers, hidden, rows, steps = SHAPES[job["shape"]]
    sizes = argparse.Namespace(
        cell=job["cell"].lower(), layers=layers, hidden=hidden, vocab=VOCABULARY
    )
    torch.manual_seed(1)
    model = change(Model(sizes, batch_first))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-6)
    shape = (rows, steps) if batch_first else (steps, rows)
    ids, targets = (torch.randint(VOCABULARY, shape) for _ in range(2))

    def train():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        return loss.detach()

    def infer():
        with torch.inference_mode():
            return model(ids)

    return train, infer, rows * steps


def packed_runs(torch, job, change):
    """The training step and the inference of 64 rows of 1 to 500 steps, most of them short."""
    torch.manual_seed(1)
    rnn = change(getattr(torch.nn, job["cell"])(128, 128))
    lengths = [max(1, int(500 * (row / 63) ** 6)) for row in range(64)]
    rows = [torch.randn(length, 128) for length in lengths]
    packed = torch.nn.utils.rnn.pack_sequence(rows, enforce_sorted=False)
    optimizer = torch.optim.Adam(rnn.parameters(), lr=1e-6)

    def train():
        optimizer.zero_grad()
        loss = rnn(packed)[0].data.square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def infer():
        with torch.inference_mode():
            return rnn(packed)[0].data

    return train, infer, sum(lengths)


def measure(job):
    """Measures one contender."""
    import torch

    torch.set_num_threads(job["threads"])
    torch.set_flush_denormal(True)
    if job["contender"] == "unrolled":
        from unrolled.torch import accelerate as change
    else:
        change = torch.nn.Identity()
    if job["shape"] == PACKED:
        train, infer, tokens = packed_runs(torch, job, change)
    else:
        train, infer, tokens = window_runs(torch, job, job["order"] == BATCH_FIRST, change)
    results = [float(train()), float(infer().square().mean())]
    seconds = {"train": best_seconds(train, job["seconds"])}
    seconds["infer"] = best_seconds(infer, job["seconds"])
    found = {**seconds, "tokens": tokens, "results": results, "torch": torch.__version__}
    print(json.dumps(found))


def run(job):
    command = [sys.executable, __file__, "--one", json.dumps(job)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(job["threads"])}
    found = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment, text=True)
    return json.loads(found.stdout)


def compare(options, cell, shape, order, threads):
    """The best of each contender. They run in turn."""
    best = {}
    for _ in range(options.rounds):
        for contender in ("torch", "unrolled"):
            job = {"cell": cell, "shape": shape, "order": order, "threads": threads}
            found = run({**job, "contender": contender, "seconds": options.seconds})
            before = best.setdefault(contender, found)
            for what in ("train", "infer"):
                before[what] = min(before[what], found[what])
    ours, stock = best["unrolled"], best["torch"]
    for found, expected in zip(ours["results"], stock["results"]):
        assert abs(found - expected) <= 1e-4 * abs(expected), (cell, shape, found, expected)
    return ours, stock


def rows(shapes):
    """The shapes, each with the orders of its windows."""
    for shape in shapes:
        for order in ("",) if shape == PACKED else ("", BATCH_FIRST):
            yield shape, order


def figures(ours, stock):
    """The cells of a row: both speeds and their ratio, for training and for inference."""
    for what in ("train", "infer"):
        yield from (f"{result['tokens'] / result[what]:,.0f}" for result in (stock, ours))
        yield f"{stock[what] / ours[what]:.2f}"


def main():
    options = arguments()
    if options.one:
        return measure(json.loads(options.one))
    print(
        "| model | threads | training, torch | unrolled | ratio | inference, torch | unrolled | ratio |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    version = ""
    for cell in options.cells:
        for shape, order in rows(options.shapes):
            for threads in options.threads:
                ours, stock = compare(options, cell, shape, order, threads)
                version = stock["torch"]
                name = f"{cell} {shape}{order and ', ' + order}"
                print(f"| {name} | {threads} | {' | '.join(figures(ours, stock))} |", flush=True)
    print(
        f"\nTokens per second. PyTorch {version}, {processor()}, {os.cpu_count()} processors, {time.strftime('%Y-%m-%d')}."
    )
    print("1x100: 1 layer of 100 units, 200 rows of 5 steps; 2x128, 2x512: 50 rows of 50 steps;")
    print(
        "packed: 1 layer of 128 units, 64 rows of 1 to 500 steps in a PackedSequence, most of them short."
    )


if __name__ == "__main__":
    main()
