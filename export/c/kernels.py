"""The kernel library's files, and which of them a model needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources

_INCLUDE = re.compile(r'^#include "(ep_[a-z0-9_]+\.h)"', re.MULTILINE)


TARGET = "ep_target.h"
"""Written with every export: the layout of the device."""


@cache
def library() -> dict[str, str]:
    """File name -> text of the whole library."""
    folder = resources.files("edgepress.runtime.kernels")
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith((".c", ".h")))
    return {name: (folder / name).read_text("utf-8") for name in names}


def needed(headers: Iterable[str], variants: Mapping[str, str] | None = None) -> dict[str, str]:
    """The files behind these headers: what they include, and the sources beside them.

    `variants` names sources that are taken instead of others.
    """
    files, found, left = library(), set[str](), list(headers)
    while left:
        name = left.pop()
        if name in found or name == TARGET:
            continue
        found.add(name)
        left += _INCLUDE.findall(files[name])
        source = name.replace(".h", ".c")
        source = (variants or {}).get(source, source)
        if source in files:
            left.append(source)
    return {name: files[name] for name in sorted(found)}
