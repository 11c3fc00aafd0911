"""Optional packages of devices: whether they are here, which version, and how to install them."""

from __future__ import annotations

import importlib.metadata
import importlib.util

from ..runtime.errors import MissingToolError

EXTRAS = {
    "tflite_micro": (
        "tflite-micro",
        "pip install 'edgepress[tflm]' (or pip install --pre tflite-micro)",
    ),
    "ethosu": ("ethos-u-vela", "pip install 'edgepress[ethosu]'"),
}
"""Module -> (distribution, what installs it)."""


def need_extra(module: str, purpose: str) -> str:
    """Version of the package that brings a module.

    Raises:
        MissingToolError: it is not installed; says how to.
    """
    distribution, how = EXTRAS[module]
    try:
        if importlib.util.find_spec(module) is not None:
            return importlib.metadata.version(distribution)
    except (ImportError, importlib.metadata.PackageNotFoundError):
        pass
    raise MissingToolError(
        f"the package {distribution} is not installed: {purpose} needs it", hint=how
    )
