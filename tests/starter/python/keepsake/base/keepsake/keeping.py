"""The decorator."""

import functools
import inspect
from typing import Any, Callable

from .keys import key_of
from .store import Store


def keep(store: Store) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Keeps a function's answers in a store."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function)
        full_name = f"{function.__module__}.{function.__qualname__}"

        def key(args: Any, kwargs: Any) -> str:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return key_of(full_name, dict(bound.arguments))

        @functools.wraps(function)
        def kept(*args: Any, **kwargs: Any) -> Any:
            name = key(args, kwargs)
            found, answer = store.get(name)
            if not found:
                answer = function(*args, **kwargs)
                store.put(name, answer)
            return answer

        def forget(*args: Any, **kwargs: Any) -> bool:
            """Drops the answer of a call. Says whether there was one."""
            return store.drop(key(args, kwargs))

        kept.forget = forget  # type: ignore[attr-defined]
        return kept

    return decorate
