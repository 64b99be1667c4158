"""Settings for the native part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def settings_json(settings: Mapping[str, Any]) -> str:
    """Returns settings as JSON with the names of configuration files. Settings that are None are
    left out."""
    return json.dumps(
        {name.replace("_", "-"): value for name, value in settings.items() if value is not None}
    )
