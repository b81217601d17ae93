"""Keeps the answers of slow functions in files, from one run to the next."""

from .keeping import keep
from .keys import key_of
from .store import Store

__all__ = ["Store", "keep", "key_of"]
