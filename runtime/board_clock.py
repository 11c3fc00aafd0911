"""The clock a core really has: the time of a fixed chain of dependent additions, one cycle each.

Kernels report the clock they asked for; a firmware that throttles may run another. The chain is a few machine
instructions, run in a forked child, so that a system that forbids it costs nothing. Where there is no code for the
processor, a Python loop stands in: its rate has no meaning of its own, but it moves with the clock.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from typing import Callable, Dict, Optional

CHAIN = 64
"""Dependent additions per turn; the subtraction and the branch of the loop run beside them."""

_TURNS = 20_000
_SPIN_S = 0.1
_REPEATS = 9
_CHILD_S = 5.0


def loop_rate(cpu: int = 0) -> Dict[str, str]:
    """`{"loop_mhz": ...}`, or `{"loop_rate": ...}` (turns of a Python loop per ms) where the clock cannot be timed.

    The best of several runs on processor `cpu`, after a spin that lets the governor raise the clock.
    """
    code = _machine_code()
    mhz = None if code is None else _in_child(code, cpu)
    if mhz is not None:
        return {"loop_mhz": "%.1f" % mhz}
    return {"loop_rate": "%.1f" % _python_rate()}


def _machine_code() -> Optional[bytes]:
    """`turns -> ` CHAIN dependent additions per turn, for the processor and pointer size of this process."""
    machine, bits = os.uname().machine, 8 * struct.calcsize("P")
    if machine == "aarch64" and bits == 64:
        back = (-(CHAIN + 1) & 0x7FFFF) << 5
        words = [0x8B020021] * CHAIN + [0xF1000400, 0x54000001 | back, 0xD65F03C0]
        return struct.pack("<%dI" % len(words), *words)
    if machine.startswith("armv7") or (machine == "aarch64" and bits == 32):
        back = -(CHAIN + 3) & 0xFFFFFF
        words = [0xE0811002] * CHAIN + [0xE2500001, 0x1A000000 | back, 0xE12FFF1E]
        return struct.pack("<%dI" % len(words), *words)
    if machine == "x86_64" and bits == 64:
        body = b"\x48\x01\xd0" * CHAIN + b"\x48\xff\xcf"  # add rax, rdx; dec rdi
        jump = b"\x0f\x85" + struct.pack("<i", -(len(body) + 6))
        return body + jump + b"\xc3"
    return None


def _in_child(code: bytes, cpu: int) -> Optional[float]:
    """MHz told by a forked child, None if it could not or died."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            os.close(read)
            with contextlib.suppress(OSError, AttributeError):
                os.sched_setaffinity(0, {cpu})  # cores of one board may have different clocks
            os.write(write, struct.pack("<d", _run(code)))
        os._exit(0)
    os.close(write)
    try:
        data = os.read(read, 8)
    finally:
        os.close(read)
        os.waitpid(child, 0)
    return struct.unpack("<d", data)[0] if len(data) == 8 else None


def _run(code: bytes) -> float:
    import ctypes
    import mmap
    import signal

    signal.alarm(int(_CHILD_S))  # whatever happens, the parent gets an answer
    page = mmap.mmap(-1, mmap.PAGESIZE)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    libc = ctypes.CDLL(None, use_errno=True)
    size = ctypes.c_size_t(mmap.PAGESIZE)
    # written first, executable afterwards: the kernel then makes the instruction cache see it
    if libc.mprotect(ctypes.c_void_p(address), size, mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "no executable memory")
    function = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long)(address)
    return _TURNS * CHAIN / (_best(lambda: function(_TURNS)) * 1e6)


def _python_rate() -> float:
    def turn() -> None:
        value = 0
        for number in range(_TURNS):
            value ^= number

    return _TURNS / (_best(turn) * 1e3)


def _best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of several runs."""
    end = time.perf_counter() + _SPIN_S
    while time.perf_counter() < end:
        work()
    found = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)
