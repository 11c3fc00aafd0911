"""The `boards` of a configuration: names that gates use as device -> where the board is and how it is used.

boards:
  pi5: {address: "ssh://pi@pi5.local", cpus: [3], set_governor: performance, cooling: heat sink}
"""

from __future__ import annotations

from dataclasses import dataclass

from ...devices.board_options import BoardOptions
from ...devices.transport import parse_address
from ...runtime.errors import UsageError
from .config_values import Table


@dataclass(frozen=True)
class Board:
    """A real board. Times of a gate whose device has its name are measured there."""

    address: str
    options: BoardOptions = BoardOptions()


def boards_of(table: Table) -> dict[str, Board]:
    """All boards of a configuration.

    Raises:
        UsageError: an unknown key, no address, or one that is none.
    """
    return {name: _board(table.table(name)) for name in table.values}


def _board(table: Table) -> Board:
    table.only("address", "python", "cpus", "set_governor", "cooling", "power_source", "timeout_s")
    address = table.need("address")
    try:
        parse_address(address)
    except UsageError as error:
        raise UsageError(error.what, where=table.where("address"), hint=error.hint) from error
    cpus = []
    for item in table.items("cpus"):
        if isinstance(item, bool) or not isinstance(item, int) or item < 0:
            raise table.fault("cpus", f"expected processor numbers, got {item!r}")
        cpus.append(item)
    default = BoardOptions()
    options = BoardOptions(
        python=table.text("python") or default.python,
        cpus=tuple(cpus),
        set_governor=table.text("set_governor") or "",
        cooling=table.text("cooling") or "",
        power_source=table.text("power_source") or "",
        timeout_s=float(table.count("timeout_s", int(default.timeout_s), 1 << 20)),
    )
    return Board(address, options)
