"""edgepress: make a trained network small and fast for the edge, and prove it.

Import is free of side effects and takes milliseconds; public names load on first use.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Artifact": ".runtime.artifact",
    "EdgepressError": ".runtime.errors",
    "Measurement": ".devices.measurement",
    "Receipt": ".compress.receipt",
    "Task": ".compress.task",
    "open_artifact": ".runtime.artifact",
    "open_session": ".runtime.session",
}

__all__ = [*sorted(_PUBLIC), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'edgepress' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name], __name__), name)
