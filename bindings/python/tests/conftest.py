"""Skips the tests with PyTorch where it is not installed."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("torch") else ["test_torch.py"]
