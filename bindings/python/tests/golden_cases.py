"""The cases of goldens.npz."""

T, B, E, H = 5, 3, 2, 4
LENGTHS = [2, 5, 3]
CASES = {
    "lstm": ("LSTM", {}),
    "lstm-2-batch-first": ("LSTM", {"num_layers": 2, "batch_first": True}),
    "lstm-both": ("LSTM", {"num_layers": 2, "bidirectional": True}),
    "lstm-projection": ("LSTM", {"num_layers": 2, "proj_size": 3}),
    "lstm-both-projection-no-bias": (
        "LSTM",
        {"bidirectional": True, "proj_size": 3, "bias": False},
    ),
    "lstm-no-bias": ("LSTM", {"num_layers": 2, "bias": False}),
    "gru": ("GRU", {"num_layers": 2}),
    "gru-both-batch-first": ("GRU", {"bidirectional": True, "batch_first": True}),
    "rnn-tanh": ("RNN", {"num_layers": 2}),
    "rnn-relu-both": ("RNN", {"nonlinearity": "relu", "bidirectional": True}),
}
