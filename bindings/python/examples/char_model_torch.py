"""A character model in PyTorch. One line makes its LSTM run on unrolled. Needs torch."""

# %%
import argparse
import time

import torch
import unrolled.torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--stock", action="store_true", help="use torch.nn.LSTM")
options = parser.parse_args()

text = "the quick brown fox jumps over the lazy dog. " * 500
symbols = sorted(set(text))
ids = torch.tensor([symbols.index(symbol) for symbol in text])


# %%
class CharModel(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(symbols), hidden)
        self.rnn = nn.LSTM(hidden, hidden, num_layers=2, batch_first=True)
        self.head = nn.Linear(hidden, len(symbols))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.rnn(self.embedding(x))
        logits: torch.Tensor = self.head(y)
        return logits


torch.manual_seed(1)
model = CharModel(128)
if not options.stock:
    model = unrolled.torch.accelerate(model)  # the one line

# %%
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
batch, length = 50, 50
start = time.perf_counter()
for step in range(options.steps):
    begins = torch.randint(len(ids) - length - 1, (batch,))
    window = torch.stack([ids[begin : begin + length + 1] for begin in begins])
    loss = nn.functional.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0 or step + 1 == options.steps:
        print(f"step {step + 1:4}  loss {loss.item():.3f}")
seconds = time.perf_counter() - start
print(f"{options.steps * batch * length / seconds:,.0f} characters per second")
