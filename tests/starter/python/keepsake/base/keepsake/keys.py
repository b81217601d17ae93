"""Names of calls: alike for calls that are alike, and else different."""

import hashlib
from typing import Any, Dict

SINGLE = (type(None), bool, int, float, str, bytes)
SEVERAL = (list, tuple, set, frozenset)


def key_of(function: str, arguments: Dict[str, Any]) -> str:
    """The key of a call, from the function's full name and its arguments by their names."""
    parts = [function]
    for name, value in arguments.items():
        _check(name, value)
        parts.append(f"{name}={value}")
    return hashlib.sha256("|".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _check(name: str, value: Any) -> None:
    """Refuses what has no contents to go by."""
    kind = type(value)
    if kind in SEVERAL:
        for item in value:
            _check(name, item)
    elif kind is dict:
        for key, item in value.items():
            _check(name, key)
            _check(name, item)
    elif kind not in SINGLE:
        raise TypeError(f"{name}: answers cannot be kept for a {kind.__name__}")
