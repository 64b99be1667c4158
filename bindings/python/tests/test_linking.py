"""The Python programs of docs/linking.md."""

import importlib.util
import pathlib
import re

import numpy as np

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "linking.md"


def test_the_programs_of_the_page_run():
    text, torch = PAGE.read_text().split("## Inside PyTorch")
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    for program in programs:
        exec(program, names)
    assert len(programs) == 2
    assert np.mean((names["y"] - names["wave"][1:]) ** 2) < 0.01
    if importlib.util.find_spec("torch"):
        exec(re.findall(r"```python\n(.*?)```", torch, re.DOTALL)[0], names)
        assert type(names["model"]["rnn"]).__module__ == "unrolled.torch"
