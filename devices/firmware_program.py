"""What is built into a firmware: C files, folders to include from, options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import InputError


@dataclass(frozen=True)
class Program:
    """What is to be built: C files, folders to include from, and the compiler's options for them.

    Attributes:
        sources: .c files; or folders, of which all .c files are taken and that are included from.
        includes: further folders to include from.
        options: optimization, definitions, warnings.
    """

    sources: tuple[Path, ...]
    includes: tuple[Path, ...] = ()
    options: tuple[str, ...] = ("-O3",)

    def files(self) -> tuple[Path, ...]:
        """All .c files, absolute; `InputError` where something is not there or there are none."""
        found: list[Path] = []
        for source in self.sources:
            path = Path(source).resolve()
            if path.is_dir():
                found += sorted(path.glob("*.c"))
            elif path.is_file():
                found.append(path)
            else:
                raise InputError("there is no such source", where=str(source))
        if not found:
            raise InputError(
                "there is no C file", where=", ".join(str(source) for source in self.sources)
            )
        return tuple(found)

    def folders(self) -> tuple[Path, ...]:
        """Folders to include from, absolute."""
        of_sources = [path if path.is_dir() else path.parent for path in map(Path, self.sources)]
        return tuple(dict.fromkeys(path.resolve() for path in (*of_sources, *self.includes)))
