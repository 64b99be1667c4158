"""The shell command `python -m unrolled`."""

from __future__ import annotations

import argparse
import sys

from . import Error, __version__


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m unrolled", description="Recurrent networks on the CPU."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    converting = commands.add_parser(
        "convert", help="convert a model of another program to a checkpoint"
    )
    converting.add_argument(
        "source", metavar="IN", help="PyTorch, Keras, TensorFlow 1, ONNX, RTNeural or safetensors"
    )
    converting.add_argument(
        "target", metavar="OUT", help="the checkpoint to write, model.safetensors"
    )
    options = parser.parse_args()
    from .convert import convert

    try:
        model = convert(options.source, options.target)
    except (Error, OSError, ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.target}: {model}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
