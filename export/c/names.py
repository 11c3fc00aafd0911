"""C identifiers of models and of what belongs to them."""

from __future__ import annotations

import re

from ...runtime.errors import UsageError

_KEYWORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
    main and or not xor bool true false class new delete this template typename namespace private public protected
    virtual operator try catch throw using friend asm export
"""
_RESERVED = frozenset(_KEYWORDS.split())
"""Keywords of C and C++: a header may be read by either."""


def identifier(name: str) -> str:
    """`name` as a C identifier: other characters become underscores, lower case.

    Raises:
        UsageError: nothing is left of it.
    """
    made = re.sub(r"[^0-9a-zA-Z]+", "_", name).strip("_").lower()
    if not made:
        raise UsageError(
            f"{name!r} gives no C name", hint="choose a name with letters of the alphabet"
        )
    if made[0].isdigit():
        made = f"model_{made}"
    if made in _RESERVED or made.startswith("ep_"):
        made = f"{made}_model" if made in _RESERVED else f"model_{made}"
    return made


def comment(text: str) -> str:
    """`text` as it may stand inside a C comment, in one line."""
    shown = "".join(c if c.isprintable() and ord(c) < 128 else "?" for c in text)
    return shown.replace("*/", "* /").replace("/*", "/ *").replace("\\", "/").replace("??", "?")
