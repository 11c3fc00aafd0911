"""Exported C folders compiled here: which compiler, with which options, once for each content.

    library = compile_folder(folder_bytes(path))        # a shared object in the user's cache

The compiler is `$EDGEPRESS_CC` if set (a command line: "clang -fuse-ld=lld"), else the first of cc, gcc, clang that is
there; `$EDGEPRESS_CFLAGS` replaces the options. The object is named by a hash of sources, command, compiler version
and processor, so nothing is compiled twice and nothing stale is loaded.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Sequence, Set, Tuple

from .c_folder import CFolder, of_bytes, read_parts
from .errors import InputError, MissingToolError, ToolFailedError
from .files import sha256_bytes

CANDIDATES = ("cc", "gcc", "clang")
FLAGS = ("-O3", "-march=native")
ALWAYS = ("-std=c99", "-ffp-contract=off", "-fPIC")
LIMIT_S = 300.0
BUILT = "EDGEPRESS_NATIVE_BUILT"
"""Variable naming a folder with models that were compiled elsewhere: HASH.so, and COMPILER_NOTE."""

COMPILER_NOTE = "compiler.txt"
_INCLUDE = re.compile(rb'#include "([^"]+)"')
KEPT = 512
"""Linked models and objects objects that stay in the cache, those used last."""


@dataclass(frozen=True)
class Compiler:
    """A command that compiles C; `version` is short ("gcc 12.2.0"), `identity` all it says about itself."""

    command: Tuple[str, ...]
    version: str
    identity: str


@dataclass(frozen=True)
class _Command:
    """The compiler with all its options, and everything that decides what it makes of a source."""

    words: Tuple[str, ...]
    facts: bytes


def find_compiler() -> Compiler:
    """The compiler of this machine.

    Raises:
        MissingToolError: there is none, or the one asked for does not run.
    """
    asked = shlex.split(os.environ.get("EDGEPRESS_CC", ""))
    if asked and shutil.which(asked[0]) is None:
        raise MissingToolError(
            f"the compiler {asked[0]!r} of EDGEPRESS_CC is not there", hint="correct the variable"
        )
    command = tuple(asked or [name for name in CANDIDATES if shutil.which(name)][:1])
    if not command:
        raise MissingToolError(
            "no C compiler is installed, and exported C is compiled where it runs",
            hint="install one (apt install gcc), or use an ONNX or TFLite file",
        )
    return _described(command, os.environ.get("PATH", ""))


@functools.lru_cache(maxsize=16)
def _described(command: Tuple[str, ...], path: str) -> Compiler:
    """What a command says about itself; asked once for each search `path`."""
    said = _run([*command, "--version"], "asking the compiler for its version")
    number = _run([*command, "-dumpfullversion", "-dumpversion"], "asking for the number", True)
    name = "clang" if "clang" in said else "gcc" if "Free Software" in said else command[0]
    version = f"{name} {number.strip()}".strip()
    return Compiler(command, version, said)


def compiler_version() -> str:
    """Version of what compiles here, or of what compiled the models in `$EDGEPRESS_NATIVE_BUILT`."""
    note = _built_note()
    return note if note else find_compiler().version


def compiler_identity() -> str:
    """All that it says about itself."""
    note = _built_note()
    return note if note else find_compiler().identity


def _built_note() -> str:
    folder = os.environ.get(BUILT, "")
    path = Path(folder) / COMPILER_NOTE
    return path.read_text("utf-8").strip() if folder and path.is_file() else ""


def built_elsewhere(data: bytes) -> Optional[Path]:
    """The library of a folder that came with its compiled form; None if there is none."""
    folder = os.environ.get(BUILT, "")
    path = Path(folder) / f"{sha256_bytes(data)}.so"
    return path if folder and path.is_file() else None


def flags() -> Tuple[str, ...]:
    """Options that decide how fast the code is; `$EDGEPRESS_CFLAGS` replaces the usual ones."""
    given = os.environ.get("EDGEPRESS_CFLAGS")
    return FLAGS if given is None else tuple(shlex.split(given))


def compile_folder(
    data: bytes,
    where: str = "",
    compiler: Optional[Compiler] = None,
    options: Optional[Sequence[str]] = None,
) -> Path:
    """The shared object of a folder, from the cache or made now.

    Args:
        data: `c_folder.folder_bytes`.
        where: the folder, for messages.
        compiler, options: instead of `find_compiler()` and `flags()`.

    Raises:
        InputError: the sources do not compile; the compiler's first words are told.
        MissingToolError: no compiler.
        ToolFailedError: the compiler hangs or cannot be run.
    """
    compiler = compiler or find_compiler()
    chosen = flags() if options is None else tuple(options)
    facts = (compiler.command, compiler.identity, chosen, ALWAYS, _processor())
    command = _Command((*compiler.command, *ALWAYS, *chosen), repr(facts).encode())
    target = cache_folder() / "models" / f"{sha256_bytes(command.facts + data)}.so"
    if not target.exists():
        _compile(of_bytes(data, where), data, command, target, where)
        _forget_oldest()
    with contextlib.suppress(OSError):
        os.utime(target)
    return target


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/edgepress/native`, else below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "edgepress/native"


def _compile(folder: CFolder, data: bytes, command: _Command, target: Path, where: str) -> None:
    """Objects from the cache or made now, linked in a folder of its own; the result appears whole or not at all."""
    with tempfile.TemporaryDirectory(prefix="edgepress-native-") as name:
        root = Path(name)
        parts = read_parts(data, where)
        for file, content in parts:
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        headers = b"".join(content for file, content in parts if file.endswith(".h"))
        contents = dict(parts)
        try:
            objects = [
                _object(
                    root / source, contents[source] + _included(contents, source, headers), command
                )
                for source in folder.sources
            ]
            made = root / "model.so"
            words = [*command.words, "-shared", *map(str, objects), "-o", str(made), "-lm"]
            _run(words, "linking the exported model")
        except ToolFailedError as error:
            raise InputError(
                error.what.replace(f"{root}/", ""),
                where=where,
                hint="export the model again, or try another compiler or options "
                "(EDGEPRESS_CC, EDGEPRESS_CFLAGS)",
            ) from error
        _put(made, target)


def _included(contents: Dict[str, bytes], source: str, headers: bytes) -> bytes:
    """All that a kernel's source may include: the kernels' headers; a model's source sees its own header too."""
    if not Path(source).name.startswith("ep_"):
        return headers
    return b"".join(
        contents[name]
        for name in sorted(contents)
        if name.endswith(".h") and Path(name).name in _closure(contents, source)
    )


def _closure(contents: Dict[str, bytes], source: str) -> Set[str]:
    """Names of the headers that a source includes, directly or not."""
    by_name = {Path(name).name: content for name, content in contents.items()}
    found: Set[str] = set()
    left = [Path(source).name]
    while left:
        for raw in _INCLUDE.findall(by_name.get(left.pop(), b"")):
            name = raw.decode("utf-8", "replace")
            if name in by_name and name not in found:
                found.add(name)
                left.append(name)
    return found


def _object(source: Path, seen: bytes, command: _Command) -> Path:
    """The object of one source: kernels are the same in many models, and compiled once."""
    target = cache_folder() / "objects" / f"{sha256_bytes(command.facts + seen)}.o"
    if not target.exists():
        made = source.with_suffix(".o")
        words = [*command.words, "-c", str(source), "-o", str(made)]
        _run(words, f"compiling {source.name}")
        _put(made, target)
    with contextlib.suppress(OSError):
        os.utime(target)
    return target


def _put(made: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(str(made), str(partial))
    partial.replace(target)


def _run(words: Sequence[str], doing: str, quiet: bool = False) -> str:
    """stdout of a program; what it said on failure becomes the error (nothing if `quiet`)."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            list(words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=environment,
            timeout=LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolFailedError(f"{doing}: {words[0]} does not run: {error}") from error
    if done.returncode and not quiet:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        errors = [line for line in said if "error" in line] or said
        raise ToolFailedError(f"{doing}: {' | '.join(errors[:3]) or 'it failed'}")
    return done.stdout.decode("utf-8", "replace") if not done.returncode else ""


def _processor() -> str:
    """What -march=native depends on."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith(("flags", "Features")):
                return line
    return f"{platform.machine()} {platform.processor()}"


def _forget_oldest() -> None:
    """Keep the objects and the linked models used last."""
    for kind in ("models/*.so", "objects/*.o"):
        found = []
        for path in cache_folder().glob(kind):
            with contextlib.suppress(OSError):
                found.append((path.stat().st_mtime, path))
        for _, path in sorted(found)[:-KEPT]:
            with contextlib.suppress(OSError):
                path.unlink()
