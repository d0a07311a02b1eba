"""Plain values for strict JSON, which knows neither NaN nor infinities."""

import json
import math
from typing import Any


def json_ready(value: Any) -> Any:
    """A value with NaN and infinities as null, arrays as lists and complex numbers as pairs, for strict JSON."""
    if isinstance(value, dict):
        return {str(k): json_ready(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(v) for v in value]
    if hasattr(value, "tolist"):
        return json_ready(value.tolist())
    if isinstance(value, complex):
        return [json_ready(value.real), json_ready(value.imag)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def to_json_text(value: Any) -> str:
    """Strict JSON, non-finite numbers as null."""
    return json.dumps(json_ready(value), allow_nan=False)


def plain_dict(content: dict[str, Any]) -> dict[str, Any]:
    """A dictionary as strict JSON can hold it."""
    return {str(key): json_ready(value) for key, value in content.items()}
