"""Skips the tests of frameworks that are not installed."""

import importlib.util

FRAMEWORKS = {
    "torch": ["test_torch_results.py", "test_torch_modules.py", "test_convert_torch.py"],
    "tensorflow": ["test_convert_keras.py"],
    "onnxruntime": ["test_convert_onnx.py"],
}

collect_ignore = [
    file
    for framework, files in FRAMEWORKS.items()
    if not importlib.util.find_spec(framework)
    for file in files
]
