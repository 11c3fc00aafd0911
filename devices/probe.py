"""What a board is, how it feels and which engines it has: `probe("ssh://pi@pi4")`."""

from __future__ import annotations

from .board_options import BoardOptions
from .fingerprint import fingerprint


def probe(address: str, options: BoardOptions | None = None) -> dict[str, dict[str, str]]:
    """`{"fingerprint": ..., "health": ..., "engines": ...}`; over adb there are no engines.

    Raises:
        DeviceUnreachable, MissingToolError, UsageError: see `board.visit`.
    """
    options = options or BoardOptions()
    if address.startswith("adb://"):
        from .board_adb import device_facts, device_health
        from .transport import open_transport

        way = open_transport(address, adb=options.adb)
        return {"fingerprint": fingerprint(device_facts(way)), "health": device_health(way)}
    from .board import visit

    with visit(address, options) as board:
        return {
            "fingerprint": fingerprint(board.facts()),
            "health": board.health(),
            "engines": board.engines(),
        }
