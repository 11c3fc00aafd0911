"""What a process of ours says at its end: one line of JSON, a document or an error with the name of its class."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..runtime import errors
from ..runtime.errors import EdgepressError


def last_document(text: str) -> dict[str, Any] | None:
    """The last line that begins with "{", as an object; engines print what they like before it. None if it is none."""
    lines = [line for line in text.splitlines() if line.startswith("{")]
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def error_class(told: Mapping[str, Any], otherwise: type[EdgepressError]) -> type[EdgepressError]:
    """The class of ours that a told error had there; `otherwise` if it names none."""
    kind = getattr(errors, str(told.get("class")), None)
    return kind if isinstance(kind, type) and issubclass(kind, EdgepressError) else otherwise


def error_of(told: Mapping[str, Any], otherwise: type[EdgepressError]) -> EdgepressError:
    """The error {"class", "what", "where", "hint"} as it was raised there."""
    kind = error_class(told, otherwise)
    return kind(str(told.get("what")), where=told.get("where"), hint=told.get("hint"))
