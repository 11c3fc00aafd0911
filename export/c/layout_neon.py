"""Layout of packed int8 weights for cores with NEON, without and with the dot product (Cortex-A53, A72; A76)."""

from __future__ import annotations

from .layout import Layout

NEON = Layout("EP_LAYOUT_NEON", rows=4)
NEON_DOT = Layout("EP_LAYOUT_NEON_DOT", rows=4)
