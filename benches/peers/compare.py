"""Measures PyTorch, TensorFlow and unrolled on the same shapes, alternately, and prints their ratios as a table.

    python3 compare.py --unrolled ../../target/release/unrolled --torch-python PATH --tf-python PATH

Every program runs in a process of its own, one after the other, for several rounds. Its threads are set before it starts.
The best round counts, and the project is compared with the best peer. A peer without an interpreter is skipped.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

# name: (cell, reset, hidden, layers, batch, steps, input, vocabulary)
SHAPES = {
    "rnn-100": ("rnn", "after", 100, 1, 200, 5, "one-hot", 65),
    "lstm-100": ("lstm", "after", 100, 1, 200, 5, "one-hot", 65),
    "gru-100-after": ("gru", "after", 100, 1, 200, 5, "one-hot", 65),
    "gru-100-before": ("gru", "before", 100, 1, 200, 5, "one-hot", 65),
    "lstm-128": ("lstm", "after", 128, 2, 50, 50, "embedding", 65),
    "gru-128": ("gru", "after", 128, 2, 50, 50, "embedding", 65),
    "lstm-512": ("lstm", "after", 512, 2, 50, 50, "embedding", 65),
    "gru-512": ("gru", "after", 512, 2, 50, 50, "embedding", 65),
    "lstm-1024": ("lstm", "after", 1024, 1, 64, 64, "embedding", 65),
    "default": ("lstm", "after", 256, 1, 32, 64, "embedding", 65),
    "vocab-12000": ("lstm", "after", 256, 1, 32, 64, "embedding", 12_000),
}
PEERS = ("torch", "tf-static", "tf-dynamic")
# TensorFlow needs minutes to unroll wide layers over 50 steps and more, and gains nothing.
WIDEST_STATIC = 128
# TensorFlow's cells read one-hot vectors here: with more symbols than this they multiply mostly
# zeros.
LARGEST_ONE_HOT = 1024
# The variables that --isa sets, for the project and for the libraries of the peers.
LIMITS = {
    "avx2": {"UNROLLED_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2",
             "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}


def title(shape):
    cell, reset, hidden, layers, batch, steps, entry, vocabulary = SHAPES[shape]
    kind = f"GRU ({reset})" if cell == "gru" else cell.upper()
    return f"{kind} {layers}x{hidden}, B{batch} T{steps} V{vocabulary}, {entry}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--unrolled", default=os.environ.get("UNROLLED", HERE / "../../target/release/unrolled"), type=Path)
    add("--torch-python", default=os.environ.get("TORCH_PYTHON"), help="a Python with torch (TORCH_PYTHON)")
    add("--tf-python", default=os.environ.get("TF_PYTHON"), help="a Python with tensorflow 2.15 (TF_PYTHON)")
    add("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES), metavar="SHAPE", help=", ".join(SHAPES))
    add("--threads", nargs="+", type=int, default=[1, 2], metavar="N", help="numbers of threads [1 2]")
    add("--rounds", type=int, default=3, help="times that each contender has its turn [3]")
    add("--seconds", type=float, default=3.0, help="time for each figure of a round [3]")
    add("--isa", choices=LIMITS, help="limit all contenders to this instruction set [the best of the processor]")
    add("--wrap", default="", help='words before each command, such as "nice -n -10"')
    return parser.parse_args()


class Contenders:
    """The commands that measure one shape on some threads, and print one JSON object each."""

    def __init__(self, options):
        self.options = options
        self.failed = set()
        self.interpreters = {"torch": options.torch_python}
        self.interpreters |= dict.fromkeys(("tf-static", "tf-dynamic"), options.tf_python)
        if not Path(options.unrolled).is_file():
            sys.exit(f"{options.unrolled}: no such program; build it (cargo build --release) or name it by --unrolled")
        for flag, python in (("--torch-python", options.torch_python), ("--tf-python", options.tf_python)):
            if not python:
                note(f"left out, for want of an interpreter: what needs {flag}")
            elif not shutil.which(python):
                sys.exit(f"{flag} {python}: no such program; name a Python, or leave {flag} out")

    def names(self, shape):
        hidden, vocabulary = SHAPES[shape][2], SHAPES[shape][-1]
        for peer in PEERS:
            too_wide = peer == "tf-static" and hidden > WIDEST_STATIC
            too_many = peer.startswith("tf-") and vocabulary > LARGEST_ONE_HOT
            if self.interpreters[peer] and not (too_wide or too_many):
                yield peer
        yield "unrolled"

    def command(self, name, shape, threads):
        cell, reset, hidden, layers, batch, steps, entry, vocabulary = SHAPES[shape]
        sizes = [f"--{key}={value}" for key, value in
                 dict(cell=cell, hidden=hidden, layers=layers, batch=batch, steps=steps, vocab=vocabulary,
                      threads=threads, seconds=self.options.seconds).items()]
        if name == "unrolled":
            return [str(self.options.unrolled), "bench", "--json", f"--reset={reset}", f"--input={entry}", *sizes]
        script, _, mode = name.partition("-")
        return [self.interpreters[name], str(HERE / f"{script}_peer.py"), *([f"--mode={mode}"] if mode else []), *sizes]

    def version(self):
        """The command of the project."""
        told = subprocess.run([self.options.unrolled, "--version"], capture_output=True, text=True, check=False)
        return told.stdout.strip().rpartition(" ")[-1] or "of an unknown version"

    def time(self, name, shape, threads):
        """Returns the figures, or None if the program cannot run."""
        environment = {**os.environ, **LIMITS.get(self.options.isa, {}), "OMP_NUM_THREADS": str(threads),
                       "MKL_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [*self.options.wrap.split(), *self.command(name, shape, threads)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return json.loads(done.stdout.splitlines()[-1])
        if name not in self.failed:
            told = (done.stderr.strip().splitlines() or ["no message"])[-1]
            note(f"left out: {name} failed on {shape} ({told})")
            self.failed.add(name)
        return None


def counted(count, noun):
    """'1 thread', '2 threads'"""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def note(text):
    print(text, file=sys.stderr, flush=True)


def measure(contenders, options):
    """{(shape, threads, contender): {"train", "forward"}}, the best of all rounds, the versions, and the project's last figures."""
    best, versions, ours = {}, {"unrolled": contenders.version()}, {}
    for turn in range(options.rounds):
        for shape in options.shapes:
            for threads in options.threads:
                for name in contenders.names(shape):
                    note(f"round {turn + 1}/{options.rounds}: {shape}, {counted(threads, 'thread')}, {name}")
                    figures = contenders.time(name, shape, threads)
                    if figures is None:
                        continue
                    if name == "unrolled":
                        ours = figures
                    else:
                        versions[name.partition("-")[0]] = figures["version"]
                    kept = best.setdefault((shape, threads, name), {"train": 0.0, "forward": 0.0})
                    for what in kept:
                        kept[what] = max(kept[what], figures[f"{what}_chars_per_second"])
    return best, versions, ours


def cell_of(best, what, shape, threads):
    """'253k, 1.70 x tf-static (149k)'"""
    ours = best.get((shape, threads, "unrolled"), {}).get(what)
    if not ours:
        return ""
    peers = {name: best[shape, threads, name][what] for name in PEERS if (shape, threads, name) in best}
    if not peers:
        return short(ours)
    fastest = max(peers, key=peers.get)
    return f"{short(ours)}, **{ours / peers[fastest]:.2f}** x {fastest} ({short(peers[fastest])})"


def short(rate):
    """Formats a number with three digits: 950, 12.3k, 1.12M."""
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if rate >= 0.9995 * size:
            value = rate / size
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}{suffix}"
    return f"{rate:.0f}"


def table(best, options):
    """The rows of the table: training on each number of threads, and the forward pass on the first."""
    columns = [("train", threads) for threads in options.threads] + [("forward", options.threads[0])]
    name = {"train": "training", "forward": "forward"}
    yield "| characters/s | " + " | ".join(f"{name[what]}, {counted(threads, 'thread')}" for what, threads in columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for shape in options.shapes:
        cells = (cell_of(best, what, shape, threads) for what, threads in columns)
        yield f"| {title(shape)} | " + " | ".join(cells) + " |"


def machine(figures):
    """'AMD EPYC (48 KB L1, 1 MB L2, 32 MB L3), 2 cores, avx512', as the project reports it; less without its figures."""
    if "processor" not in figures:
        return f"{processor()}, {counted(os.cpu_count(), 'core')}"
    caches = [size(figures[f"{level}_cache_bytes"]) + f" L{number}" for number, level in
              enumerate(("first", "second", "third"), 1) if figures[f"{level}_cache_bytes"]]
    return f"{figures['processor']} ({', '.join(caches)}), {counted(figures['cores'], 'core')}, {figures['isa']}"


def size(count):
    """Formats the size of a cache: '48 KB', '1.25 MB'."""
    return f"{count / 2**10:g} KB" if count < 2**20 else f"{count / 2**20:g} MB"


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def footer(versions, ours, options):
    """Returns the line with machine, date and versions."""
    told = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    limit = f"; all limited to {options.isa}" if options.isa else ""
    return (f"{datetime.date.today()}, {machine(ours)}{limit}; {told}; "
            f"best of {counted(options.rounds, 'round')} of {options.seconds:g} s, in turn.")


def main():
    options = arguments()
    contenders = Contenders(options)
    best, versions, ours = measure(contenders, options)
    print("\n".join(table(best, options)))
    print(f"\n{footer(versions, ours, options)}")


if __name__ == "__main__":
    main()
