"""Layout of packed int8 weights for cores with the DSP extension (Cortex-M4, M7, M33): pairs of 16-bit products."""

from __future__ import annotations

from .layout import Layout

SMLAD = Layout("EP_LAYOUT_SMLAD", rows=4)
