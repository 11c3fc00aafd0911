"""`make bench`: our own timings, one fresh process each, results as JSON on standard output.

python -m edgepress.tools.bench.speed
"""

from __future__ import annotations

import subprocess
import sys

BENCHES = ("startup", "export_speed")


def main() -> int:
    """Run all of `BENCHES` one after the other; the worst exit code counts."""
    codes = [
        subprocess.run([sys.executable, "-m", f"edgepress.tools.bench.{name}"], check=False)
        for name in BENCHES
    ]
    return max(done.returncode for done in codes)


if __name__ == "__main__":
    sys.exit(main())
