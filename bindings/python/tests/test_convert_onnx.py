"""Conversions from ONNX, compared by onnxruntime."""

from __future__ import annotations

from pathlib import Path

import pytest
import unrolled.convert

FIXTURES = Path(__file__).parents[3] / "tests" / "fixtures" / "convert"
LAST_STEP = ("last-state", "last-step")


@pytest.mark.parametrize(
    "name",
    ("embedding-gru", "fixed-shape", "gru-no-bias", "last-state", "last-step", "lstm-states"),
)
@pytest.mark.parametrize("exporter", ("torch-dynamo", "torch-script"))
def test_files_give_the_results_of_onnxruntime(exporter, name):
    model = unrolled.convert.from_onnx(FIXTURES / f"{exporter}-{name}.onnx")
    assert model.last_step == (name in LAST_STEP)


def test_other_results_are_refused(monkeypatch):
    path = FIXTURES / "torch-script-lstm.onnx"
    other = unrolled.convert.load(FIXTURES / "torch-script-lstm-states.onnx")
    monkeypatch.setattr("unrolled.convert._onnx.load", lambda *_: other)
    with pytest.raises(ValueError, match="no input on which onnxruntime"):
        unrolled.convert.from_onnx(path)


def test_names_to_ignore_may_be_one_name_a_list_or_a_generator():
    names = ["sequential/dense/Softmax"]
    for ignore in (names[0], names, (name for name in names)):
        model = unrolled.convert.from_onnx(FIXTURES / "keras-softmax.onnx", ignore)
        assert model.output_size > 0
