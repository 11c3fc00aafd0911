"""Layout of packed int8 weights for cores with Helium (Cortex-M55)."""

from __future__ import annotations

from .layout import Layout

MVE = Layout("EP_LAYOUT_MVE", rows=4)
