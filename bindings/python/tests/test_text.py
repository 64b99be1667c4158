"""Models of text."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import unrolled

# A model of 5 ids.
QUANTIZED = Path(__file__).parents[2] / "c" / "tests" / "quantized.safetensors"
SMALL = {
    "hidden": 24,
    "batch": 8,
    "steps": 12,
    "epochs": 1000,
    "learning_rate": 2e-2,
    "schedule": "cosine",
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("the cat sat on the mat. " * 60)
    return path


def test_a_run_writes_checkpoints_that_models_are_loaded_from(text, tmp_path):
    out, steps = tmp_path / "run", []
    run = unrolled.train(text, out, steps.append, threads=1, max_steps=80, eval_every=40, **SMALL)
    assert [step["step"] for step in steps] == list(range(1, 81))
    assert set(steps[0]) == {
        "step",
        "loss",
        "gradient_norm",
        "learning_rate",
        "val_loss",
        "val_accuracy",
    }
    assert steps[-1]["loss"] < 0.2 * steps[0]["loss"] and steps[0]["val_loss"] is None
    assert steps[-1]["val_loss"] == run.history[-1]["val_loss"] and len(run.history) == 2
    assert (
        run.steps == 80
        and run.best_val_loss < 1
        and run.settings["hidden"] == 24
        and run.seconds > 0
    )
    assert sorted(file.name for file in out.iterdir()) == [
        "best.safetensors",
        "checkpoint.safetensors",
    ]

    loaded = unrolled.LanguageModel(out)
    assert (
        loaded.sample("the cat ", 6, temperature=0)
        == "sat on"
        == run.model.sample("the cat ", 6, temperature=0)
    )
    assert loaded.sample("the ", 100, temperature=0, stop="mat.").endswith("mat.")
    assert (
        loaded.sample(length=50, seed=3)
        == loaded.sample(length=50, seed=3)
        != loaded.sample(length=50, seed=4)
    )
    assert (
        "24" in repr(loaded.settings["hidden"])
        and loaded.symbols == 11
        and loaded.parameters > 1000
    )
    evaluation = loaded.evaluate(text)
    assert set(evaluation) == {"loss", "bits_per_symbol", "perplexity", "accuracy", "symbols"}
    assert evaluation["loss"] < 1 and evaluation["symbols"] > 1000
    run.save(tmp_path / "copy.safetensors")
    assert (
        unrolled.LanguageModel(tmp_path / "copy.safetensors").evaluate([text])["symbols"]
        == evaluation["symbols"]
    )


def test_a_run_in_memory_gives_the_same_model(text):
    samples = {
        unrolled.train(text, threads=threads, max_steps=20, **SMALL).model.sample(length=40)
        for threads in (1, 2)
    }
    assert len(samples) == 1


def test_on_step_ends_the_run_with_false_or_an_exception(text):
    run = unrolled.train(
        text, on_step=lambda step: step["step"] < 7, threads=1, max_steps=50, **SMALL
    )
    assert run.steps == 7

    def fail(step):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        unrolled.train(text, on_step=fail, threads=1, max_steps=50, **SMALL)


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_control_c_ends_a_run_and_keeps_its_checkpoint(text, tmp_path):
    program = (
        "import sys, unrolled\n"
        "print('started', flush=True)\n"
        "try:\n"
        f"    unrolled.train(sys.argv[1], sys.argv[2], threads=1, **{dict(SMALL, epochs=1e6)!r})\n"
        "except KeyboardInterrupt:\n"
        "    print(unrolled.LanguageModel(sys.argv[2]).symbols)\n"
    )
    command = [sys.executable, "-c", program, str(text), str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout.readline() == "started\n"
        time.sleep(1)
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=60)
    assert output == "11\n" and run.returncode == 0


def test_bad_arguments(text, tmp_path):
    for settings, message in [
        ({"hiden": 3}, "unknown field `hiden`"),
        ({"max_step": 3}, "unknown field `max_step`, .*`max_steps`"),
        ({"hidden": 0}, "hidden = 0"),
        ({"learning_rate": -1}, "learning-rate = -1"),
        ({"cell": "lstn"}, "lstn"),
    ]:
        with pytest.raises(ValueError, match=message):
            unrolled.train(text, **settings)
    with pytest.raises(ValueError, match="no paths"):
        unrolled.train([])
    with pytest.raises(FileNotFoundError, match="nothing.txt"):
        unrolled.train(tmp_path / "nothing.txt")
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(unrolled.Error, match="empty.txt is empty"):
        unrolled.train(tmp_path / "empty.txt")
    (tmp_path / "checkpoint.safetensors").write_text("")
    with pytest.raises(FileExistsError, match="choose another out"):
        unrolled.train(text, tmp_path)


def test_bad_files_and_prompts(text, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        unrolled.LanguageModel(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="not a run folder"):
        unrolled.LanguageModel(tmp_path)
    with pytest.raises(unrolled.Error, match="text.txt"):
        unrolled.LanguageModel(text)
    model = unrolled.train(text, threads=1, max_steps=2, **SMALL).model
    for arguments, message in [
        ({"prompt": "Z"}, "'Z'"),
        ({"temperature": -1}, "temperature"),
        ({"top_k": 0}, "top-k"),
        ({"top_p": 2}, "top-p"),
        ({"stop": ""}, "stop"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.sample(**arguments)
    (tmp_path / "other.txt").write_text("ZZZZ")
    with pytest.raises(ValueError, match="'Z'"):
        model.evaluate(tmp_path / "other.txt")
    assert json.loads(json.dumps(model.settings)) == model.settings


def test_a_model_has_the_precision_of_its_run(text, tmp_path):
    out = tmp_path / "run"
    run = unrolled.train(text, out, threads=1, max_steps=20, precision="bf16", **SMALL)
    assert run.settings["precision"] == run.model.precision == "bf16"
    assert unrolled.LanguageModel(out).precision == "bf16"
    rounded, plain = (unrolled.LanguageModel(out, precision=p) for p in ("bf16", "f32"))
    losses = [model.evaluate(text)["loss"] for model in (run.model, rounded, plain)]
    assert losses[0] == losses[1] != losses[2] and abs(losses[0] - losses[2]) < 0.05
    assert run.model.sample("the ", 20) == rounded.sample("the ", 20)


def test_a_quantized_file_runs_in_int8(tmp_path):
    ids = tmp_path / "ids"
    np.array([0, 3, 1, 4, 2] * 20, "<u2").tofile(ids)
    models = [unrolled.LanguageModel(QUANTIZED, precision=p) for p in (None, "int8", "f32")]
    assert [model.precision for model in models] == ["int8", "int8", "f32"]
    losses = [model.evaluate(ids)["loss"] for model in models]
    assert losses[0] == losses[1] != losses[2] and abs(losses[0] - losses[2]) < 0.05


def test_an_unknown_precision_is_an_error(text, tmp_path):
    model = functools.partial(unrolled.LanguageModel, tmp_path)
    layers = functools.partial(unrolled.LSTM, 3, 4)
    int8 = (
        'expected f32 or bf16; int8 is for quantized models: LanguageModel(.., precision="int8"), '
        "or a file of `unrolled quantize`"
    )
    for make, precision, expected in [
        (model, "f16", "expected f32 or bf16 or int8"),
        (layers, "f16", "expected f32 or bf16"),
        (layers, "int8", int8),
    ]:
        with pytest.raises(ValueError) as error:
            make(precision=precision)
        assert str(error.value) == f'found precision = "{precision}", {expected}'
    for precision in ("f16", "int8"):
        with pytest.raises(ValueError) as error:
            unrolled.train(text, precision=precision, **SMALL)
        assert str(error.value) == f"unknown variant `{precision}`, expected `f32` or `bf16`"
