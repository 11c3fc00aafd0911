"""The engines that run a file or C folder: which there are, whether they are usable here, how they are imported.

Nothing is imported before it is asked for. tflite-runtime 2.14 was built against numpy 1 and dies
with a SystemError under numpy 2; that is told beforehand.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .errors import EdgepressError, MissingToolError, UsageError
from .files import sha256_bytes, sha256_file


@dataclass(frozen=True)
class Engine:
    """`module` holds what is called, `package` is what gets installed. "native" needs no module but a compiler.

    `timed` is False for a reference: it proves a file, its times say nothing.
    """

    name: str
    format: str
    module: str
    package: str
    needs_numpy_1: bool = False
    timed: bool = True


ENGINES: Tuple[Engine, ...] = (
    Engine("onnxruntime", "onnx", "onnxruntime", "onnxruntime"),
    Engine("tflite", "tflite", "tflite_runtime.interpreter", "tflite-runtime", needs_numpy_1=True),
    Engine("litert", "tflite", "ai_edge_litert.interpreter", "ai-edge-litert"),
    Engine("native", "c", "", "a C compiler"),
    Engine("lce-reference", "lce", "", "a TFLite engine", timed=False),
)
"""In order of preference within a format."""


def engines_for(fmt: str) -> Tuple[str, ...]:
    """Names of the engines able to run files of format "onnx", "tflite", "c" or "lce", installed or not."""
    return tuple(engine.name for engine in ENGINES if engine.format == fmt)


def find_engine(name: str) -> Engine:
    """The engine called `name`; an unknown name is a `UsageError` that lists the known ones."""
    for engine in ENGINES:
        if engine.name == name:
            return engine
    raise UsageError(
        f"no engine is called {name!r}", hint="known are " + ", ".join(e.name for e in ENGINES)
    )


def import_engine(engine: Engine) -> Any:
    """The engine's module.

    Raises:
        MissingToolError: it is not installed, or not usable beside the numpy at hand.
    """
    import numpy

    if engine.format == "c":
        from . import native

        native.compiler_version()  # raises if there is none
        return native
    if engine.format == "lce":
        return choose_engine("tflite", None, "")[1]  # runs the built-in operators
    if engine.needs_numpy_1 and int(numpy.__version__.split(".")[0]) >= 2:
        raise MissingToolError(
            f"{engine.package} does not work with numpy {numpy.__version__} (it was built for numpy 1)",
            hint=f"pip install 'numpy<2', or use the engine litert (pip install {ENGINES[2].package})",
        )
    try:
        with quiet_stderr():
            return importlib.import_module(engine.module)
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError)
        reason = "is not installed" if absent else f"does not load: {error}"
        raise MissingToolError(f"{engine.package} {reason}", hint=_how_to_get(engine)) from error


def _how_to_get(engine: Engine) -> str:
    if engine.needs_numpy_1 and sys.version_info >= (3, 12):
        return f"it has no build for this Python: pip install {ENGINES[2].package}, engine litert"
    return f"pip install {engine.package}"


def engine_version(engine: Engine) -> str:
    """Version of the installed package or compiler, "unknown" where nothing tells it."""
    from importlib import metadata

    if engine.format == "c":
        from . import native

        return native.compiler_version()
    if engine.format == "lce":
        under = choose_engine("tflite", None, "")[0]
        return f"{under.name} {engine_version(under)}"
    try:
        return metadata.version(engine.package)
    except metadata.PackageNotFoundError:
        module = importlib.import_module(engine.module.split(".")[0])
        return str(getattr(module, "__version__", "unknown"))


def build_of(name: str) -> str:
    """First 16 digits of the sha256 of an engine's largest library: one version comes in several builds.

    For "native" it is that of all the compiler says about itself.

    Raises:
        UsageError, MissingToolError: unknown, or not installed.
    """
    engine = find_engine(name)
    module = import_engine(engine)
    if engine.format == "c":
        return sha256_bytes(module.compiler_identity().encode())[:16]
    folder = Path(str(sys.modules[module.__name__.split(".")[0]].__file__)).parent
    libraries = sorted(folder.rglob("*.so*"), key=lambda path: path.stat().st_size)
    return sha256_file(libraries[-1])[:16] if libraries else ""


def choose_engine(fmt: str, name: Optional[str], where: str) -> Tuple[Engine, Any]:
    """(engine, imported module) for a file of format `fmt`: the one asked for, else the first usable.

    Raises:
        UsageError: the engine does not run this format.
        MissingToolError: the engine asked for, or every engine of the format, is missing.
    """
    if name is not None:
        engine = find_engine(name)
        if engine.format != fmt:
            raise UsageError(
                f"the engine {name} does not run {fmt} files",
                where=where,
                hint="use " + " or ".join(engines_for(fmt)),
            )
        return engine, import_engine(engine)
    reasons: List[MissingToolError] = []
    for engine in ENGINES:
        if engine.format == fmt:
            try:
                return engine, import_engine(engine)
            except MissingToolError as error:
                reasons.append(error)
    hint = "; or ".join(error.hint or "" for error in reasons)
    what = "; ".join(error.what for error in reasons)
    raise MissingToolError(f"no engine for {fmt} files: {what}", where=where, hint=hint)


def installed_engines() -> Dict[str, str]:
    """Engine name -> version, or "not usable: ..." with the reason. Imports each engine."""
    found: Dict[str, str] = {}
    for engine in ENGINES:
        try:
            import_engine(engine)
            found[engine.name] = engine_version(engine)
        except EdgepressError as error:
            found[engine.name] = f"not usable: {error.what}"
    return found


@contextlib.contextmanager
def quiet_stderr() -> Iterator[List[str]]:
    """Catch what native code writes to file descriptor 2 while the block runs.

    The list yielded holds the text once the block has ended. Engines print delegate notices and
    error details there; the details belong into our error, the notices nowhere. Where the
    descriptor is closed nothing is caught.
    """
    caught: List[str] = []
    try:
        saved = os.dup(2)
    except OSError:
        yield caught
        return
    with tempfile.TemporaryFile() as target:
        try:
            os.dup2(target.fileno(), 2)
            yield caught
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            target.seek(0)
            caught.append(target.read().decode("utf-8", errors="replace"))
