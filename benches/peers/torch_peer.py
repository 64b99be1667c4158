"""PyTorch in its fastest form: fused recurrent layers on an embedding (time-major or batch-major, the faster counts), fused Adam."""

import time

import torch
from peer import best_seconds, report, sizes
from torch import nn

LAYERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Model(nn.Module):
    def __init__(self, options, batch_first):
        super().__init__()
        self.embedding = nn.Embedding(options.vocab, options.hidden)
        self.rnn = LAYERS[options.cell](options.hidden, options.hidden, options.layers, batch_first=batch_first)
        self.head = nn.Linear(options.hidden, options.vocab)

    def forward(self, ids):
        return self.head(self.rnn(self.embedding(ids))[0])


class Contender:
    """A model in one layout, with a training step and a forward pass."""

    def __init__(self, options, batch_first):
        start = time.perf_counter()
        torch.manual_seed(1)
        shape = (options.batch, options.steps) if batch_first else (options.steps, options.batch)
        self.ids, self.targets = (torch.randint(options.vocab, shape) for _ in range(2))
        self.model = Model(options, batch_first)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-6, fused=True)
        self.train()
        self.setup = time.perf_counter() - start

    def train(self):
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.model(self.ids)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), self.targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        return loss

    def forward(self):
        with torch.inference_mode():
            return self.model(self.ids)


def main():
    options = sizes()
    torch.set_num_threads(options.threads)
    torch.set_num_interop_threads(1)
    torch.set_flush_denormal(True)
    layouts = [Contender(options, batch_first) for batch_first in (True, False)]
    assert all(torch.isfinite(layout.train()) for layout in layouts)
    trial = min(0.2 * options.seconds, 1.0)
    train = min(layouts, key=lambda layout: best_seconds(layout.train, trial))
    forward = min(layouts, key=lambda layout: best_seconds(layout.forward, trial))
    report(options, torch.__version__, train.train, forward.forward, train.setup)


if __name__ == "__main__":
    main()
