"""Tools of emulated devices, found once; tests that ask for them are skipped where they are not installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from edgepress.devices.emulate_c import LinuxTools, find_linux_tools
from edgepress.devices.emulate_mcu import Tools, find_tools
from edgepress.runtime.errors import MissingToolError

Found = TypeVar("Found")


def _found(find: Callable[[], Found]) -> Found:
    try:
        return find()
    except MissingToolError as error:
        pytest.skip(f"{error.what}: {error.hint}; `make test-emulated` installs it")


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Compiler, QEMU and plugin for Cortex-M."""
    return _found(find_tools)


@pytest.fixture(scope="session")
def linux_tools() -> LinuxTools:
    """Compiler and QEMU for Cortex-A."""
    return _found(find_linux_tools)
