"""Code of both peers: the arguments, and the best of many repeats."""

import argparse
import json
import time


def sizes(**further):
    parser = argparse.ArgumentParser()
    parser.add_argument("--cell", choices=["rnn", "lstm", "gru"], required=True)
    for name in ("hidden", "layers", "batch", "steps", "vocab", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=3.0)
    for name, choices in further.items():
        parser.add_argument(f"--{name}", choices=choices, required=True)
    return parser.parse_args()


def best_seconds(call, seconds):
    """Returns the seconds of one call: the best of repeats of a tenth of a second, for the given time."""
    for _ in range(3):
        call()
    start = time.perf_counter()
    call()
    best = time.perf_counter() - start
    calls = max(1, round(0.1 / best))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        best = min(best, (time.perf_counter() - start) / calls)
    return best


def report(options, version, train, forward, setup):
    window = options.batch * options.steps
    figures = {
        "version": version,
        "train_chars_per_second": window / best_seconds(train, options.seconds),
        "forward_chars_per_second": window / best_seconds(forward, options.seconds),
        "setup_seconds": setup,
    }
    print(json.dumps(figures))
