"""An LSTM learns the next value of a wave, on NumPy arrays. Open it as a notebook, or run it as a
program."""

# %% [markdown]
# Two waves of different lengths. The inputs are [T, B, E]: T steps of B rows, E values each.

# %%
import numpy as np
import unrolled

steps = np.arange(101, dtype=np.float32)
waves = np.stack([np.sin(steps / 4), np.sin(steps / 7)], axis=1)[:, :, None]
x, target = waves[:-1], waves[1:]
lengths = [100, 60]
is_token = (steps[:-1, None] < lengths)[:, :, None]

# %% [markdown]
# An LSTM of 32 units whose hidden state is projected to the one value that it predicts.

# %%
rnn = unrolled.LSTM(1, 32, proj_size=1, seed=1)
optimizer = unrolled.Optimizer(rnn, learning_rate=2e-2, clip=1.0)

losses = []
for _ in range(200):
    y, last = rnn(x, lengths=lengths)
    error = (y - target) * is_token
    losses.append(float(np.square(error).sum() / sum(lengths)))
    rnn.backward(2 * error / sum(lengths))
    optimizer.step()
print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}")
assert losses[-1] < 0.1 * losses[0]

# %% [markdown]
# A stream continues the first wave on its own. Its steps give the same bits as a whole window.

# %%
rnn.eval()
stream = rnn.stream()
for value in x[:40, 0]:
    y = stream.step(value)
continued = []
for _ in range(20):
    continued.append(float(y[0]))
    y = stream.step(y)
print("continued", np.round(continued[:5], 3), "expected", np.round(waves[40:45, 0, 0], 3))

# %% [markdown]
# Parameters have the names and shapes of PyTorch.

# %%
for name, values in rnn.state_dict().items():
    print(f"{name:14} {values.shape}")
