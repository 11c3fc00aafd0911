"""What `--device` decides: whose layout the weights are packed in.

A device is "generic", "x86-64", a core ("cortex-m4"), or anything `edgepress devices list` names: a board is packed for
its core, for the one that runs the models where it has several.
"""

from __future__ import annotations

from ...runtime.errors import UsageError
from .layout import ROWS, Layout
from .layout_blocks import BLOCKS
from .layout_mve import MVE
from .layout_neon import NEON, NEON_DOT
from .layout_smlad import SMLAD

DEVICES: dict[str, Layout] = {
    "generic": ROWS,
    "x86-64": BLOCKS,
    "cortex-m4": SMLAD,
    "cortex-m7": SMLAD,
    "cortex-m33": SMLAD,
    "cortex-m55": MVE,
    "cortex-a53": NEON,
    "cortex-a72": NEON,
    "cortex-a55": NEON_DOT,
    "cortex-a76": NEON_DOT,
    "cortex-a78": NEON_DOT,
}
"""Device -> layout. All run everywhere, each is meant for its device; "generic" suits scalar cores."""


def layout_of(device: str) -> Layout:
    """The layout of a device: one of DEVICES, or a board or microcontroller whose core is.

    Raises:
        UsageError: an unknown device.
    """
    return DEVICES[core_of(device)]


def core_of(device: str) -> str:
    """The key of DEVICES that a device stands for; an unknown one is a `UsageError`."""
    if device in DEVICES:
        return device
    from ...devices.profile import load_profile

    try:
        profile = load_profile(device)
    except UsageError as error:
        raise UsageError(
            f"C is packed for no device called {device!r}",
            hint=f"it is for {', '.join(DEVICES)}, or a device of edgepress devices list",
        ) from error
    cores = [core.name for core in profile.cores if core.name in DEVICES]
    if not cores:
        raise UsageError(f"C is not packed for the cores of {device!r}", hint="use generic")
    return cores[0]


def target_header(device: str) -> str:
    """ep_target.h of a device."""
    return f"""/* Weights are packed for device {device}. */
#ifndef EP_TARGET_H
#define EP_TARGET_H

#define EP_LAYOUT {layout_of(device).macro}

#endif
"""
