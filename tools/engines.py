"""Which engines a step uses: those the recipe names, else every installed one."""

from __future__ import annotations

from collections.abc import Sequence

from ..runtime.engines import engines_for, find_engine, import_engine, installed_engines
from ..runtime.errors import MissingToolError


def usable_engines(
    wanted: Sequence[str], formats: Sequence[str], every_format: bool = False, timed: bool = False
) -> dict[str, str]:
    """Engine -> version: those asked for, or every installed one, that run one of `formats`.

    Formats that no engine runs (qonnx) are passed over; with `timed` those, too, that a reference alone runs.

    `every_format`: a format that none of the wanted engines runs gets its installed ones all the same, so that no
    file is left unproven because a list forgot it.

    Raises:
        MissingToolError: an engine asked for is not usable here, or a format has none at all.
    """
    for name in wanted:
        import_engine(find_engine(name))
    versions = {k: v for k, v in installed_engines().items() if not v.startswith("not usable")}
    chosen: dict[str, str] = {}
    for fmt in formats:
        able = [name for name in engines_for(fmt) if find_engine(name).timed or not timed]
        if not able:
            continue
        named = [name for name in wanted if name in able]
        names = (
            named if named or (wanted and not every_format) else [n for n in able if n in versions]
        )
        if not names and not (wanted and not every_format):
            raise MissingToolError(
                f"no engine for {fmt} files is installed",
                hint="edgepress doctor lists what is missing",
            )
        chosen.update({name: versions[name] for name in names})
    return chosen
