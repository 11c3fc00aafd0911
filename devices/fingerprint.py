"""What a board is, as kept with every measurement: facts that must agree for two of them to be compared.

The board's serial number is kept as a hash with a salt of this user's, so that a published measurement tells no
serial and two boards of one model still differ.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping

from ..runtime.files import write_text
from .places import user_profiles_folder

_SALT = "salt"


def fingerprint(facts: Mapping[str, str], **more: str) -> dict[str, str]:
    """Facts of `board_facts` with the serial hashed, and what else is known (engine build, affinity, notes).

    Empty values are left out.
    """
    found = {**facts, **more}
    serial = found.pop("serial", "")
    if serial:
        found["serial_hash"] = hash_serial(serial, _salt())
    return {key: value for key, value in found.items() if value}


def hash_serial(serial: str, salt: str) -> str:
    """16 hex digits of sha256(salt, serial)."""
    return hashlib.sha256(f"{salt}\0{serial}".encode()).hexdigest()[:16]


def _salt() -> str:
    """This user's salt, made at first use."""
    path = user_profiles_folder().parent / _SALT
    try:
        return path.read_text("ascii")
    except OSError:
        salt = secrets.token_hex(16)
        write_text(path, salt)
        return salt
