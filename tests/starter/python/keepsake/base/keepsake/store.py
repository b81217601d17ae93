"""Answers in files, one for each call."""

import json
import os
import tempfile
from typing import Any, Tuple


class Store:
    """A directory of answers. Several processes may use it at once."""

    def __init__(self, directory: str) -> None:
        self.directory = os.path.expanduser(directory)
        os.makedirs(self.directory, exist_ok=True)

    def get(self, key: str) -> Tuple[bool, Any]:
        """Whether there is an answer, and what it is. What cannot be read is as good as none."""
        try:
            with open(self._path(key), encoding="utf-8") as file:
                return True, json.load(file)
        except (FileNotFoundError, ValueError):
            return False, None

    def put(self, key: str, answer: Any) -> None:
        """Keeps an answer. Readers see the whole of it, or what stood there before."""
        text = json.dumps(answer)
        handle, name = tempfile.mkstemp(dir=self.directory, prefix=".new-")
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, self._path(key))

    def drop(self, key: str) -> bool:
        """Drops an answer. Says whether there was one."""
        try:
            os.remove(self._path(key))
        except FileNotFoundError:
            return False
        return True

    def clear(self) -> None:
        """Drops all answers."""
        for name in os.listdir(self.directory):
            if name.endswith(".json"):
                self.drop(name[: -len(".json")])

    def _path(self, key: str) -> str:
        return os.path.join(self.directory, f"{key}.json")
