"""A user's own model, task or data by name: "package.module:factory".

Importing it runs the user's code, which is why it can be forbidden. The recipe's folder is appended to the
module path, so that nothing in it can hide a module of ours or of Python.
"""

from __future__ import annotations

import importlib
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..runtime.errors import EdgepressError, InputError, UsageError

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def is_factory(text: str) -> bool:
    """True if `text` has the form "package.module:factory"."""
    return _NAME.fullmatch(text) is not None


def load_factory(
    spec: str, folder: Path | None = None, allow_user_code: bool = True
) -> Callable[..., Any]:
    """The callable that `spec` names; its module is imported, which runs it.

    Args:
        spec: "package.module:factory"; the factory may be an attribute of an attribute.
        folder: where the user's modules are, appended to the module path.
        allow_user_code: False refuses.

    Raises:
        UsageError: user code is forbidden, or `spec` has another form.
        InputError: no such module or factory, or the module's own code fails: its last line is named.
    """
    if not is_factory(spec):
        raise UsageError(
            f"{spec!r} is not a factory", hint="write package.module:factory, like nets:build"
        )
    if not allow_user_code:
        raise UsageError(
            f"{spec} would run the user's code, and --no-user-code forbids it",
            hint="use a name of the zoo or an ONNX file, or drop --no-user-code",
        )
    module_name, _, attribute = spec.partition(":")
    found: Any = _imported(module_name, spec, folder)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InputError(
                f"{module_name} has no {attribute}", where=spec, hint=_public_names(found)
            )
        found = getattr(found, part)
    if not callable(found):
        raise InputError(
            f"it is {type(found).__name__}, not something to call",
            where=spec,
            hint="name a function or class that builds the object",
        )
    result: Callable[..., Any] = found
    return result


def call_factory(
    factory: Callable[..., Any], spec: str, *arguments: object, **named: object
) -> Any:
    """What the factory gives; an exception in it is an `InputError` naming the user's line."""
    try:
        return factory(*arguments, **named)
    except EdgepressError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise _user_error(error, spec) from error


def _imported(module_name: str, spec: str, folder: Path | None) -> Any:
    if folder is not None and str(folder.resolve()) not in sys.path:
        sys.path.append(str(folder.resolve()))
        importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
        _refuse_another(module, spec, folder)
        return module
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name != missing and not module_name.startswith(f"{missing}."):
            raise _user_error(error, spec) from error
        place = f" or to {folder}" if folder else ""
        raise InputError(
            f"there is no module {missing}",
            where=spec,
            hint=f"install it, or add it to the module path{place}",
        ) from error
    except EdgepressError:
        raise
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise _user_error(error, spec) from error


def _refuse_another(module: Any, spec: str, folder: Path | None) -> None:
    """A module of the same name elsewhere on the path must not stand in silently for the folder's own."""
    if folder is None:
        return
    stem = folder.resolve().joinpath(*module.__name__.split("."))
    own = next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)
    loaded = getattr(module, "__file__", None)
    if own is not None and (loaded is None or Path(loaded).resolve() != own):
        raise InputError(
            f"the name {module.__name__} is taken by {loaded or 'a built-in module'}, which hides {own}",
            where=spec,
            hint="give your module another name",
        )


def _user_error(error: BaseException, spec: str) -> InputError:
    """One message with the deepest line of the traceback that belongs to the user."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_users(f.filename)]
    place, line = "", ""
    if isinstance(error, SyntaxError) and error.filename:
        place, line = f"{error.filename}:{error.lineno}", (error.text or "").strip()
    elif frames:
        place, line = f"{frames[-1].filename}:{frames[-1].lineno}", (frames[-1].line or "").strip()
    text = str(error).splitlines()[0] if str(error) else ""
    shown = f" in `{line}`" if line else ""
    return InputError(
        f"the user's code raises {type(error).__name__}: {text}{shown}",
        where=f"{spec} ({place})" if place else spec,
        hint="mend it, then run again",
    )


def _is_users(filename: str) -> bool:
    """True for a file outside Python, its installed packages and this file."""
    path = Path(filename)
    library = Path(sysconfig.get_paths()["stdlib"])
    return not (
        filename.startswith("<")
        or path == Path(__file__)
        or "site-packages" in path.parts
        or path.is_relative_to(library)
    )


def _public_names(found: Any) -> str:
    names = [n for n in dir(found) if not n.startswith("_") and callable(getattr(found, n))]
    return f"it has {', '.join(names[:8])}" if names else "it holds nothing to call"
