"""Trains a small model of text and writes with it. Open it as a notebook, or run it as a
program."""

# %%
import tempfile
from pathlib import Path
from typing import Any

import unrolled

folder = Path(tempfile.mkdtemp())
text = folder / "text.txt"
text.write_text("the cat sat on the mat. the dog lay on the rug. " * 200)

# %% [markdown]
# The settings have the names of the command line, with "_" for "-".


# %%
def report(step: dict[str, Any]) -> None:
    if step["val_loss"] is not None:
        print(
            f"step {step['step']:4}  loss {step['loss']:.3f}  validation loss {step['val_loss']:.3f}"
        )


run = unrolled.train(
    text,
    out=folder / "run",
    on_step=report,
    cell="gru",
    hidden=64,
    batch=16,
    steps=32,
    epochs=100,
    max_steps=100,
    eval_every=25,
    learning_rate=1e-2,
)
print(run)

# %%
model = unrolled.LanguageModel(folder / "run")
print(model.sample("the ", length=60, temperature=0.5))
print(model.evaluate(text))
