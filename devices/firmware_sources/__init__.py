"""C sources and the linker script of firmware for emulated microcontrollers (`devices/firmware.py`)."""
