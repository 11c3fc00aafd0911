"""C kernels that prove the harness: an int8 matrix product three ways (`devices/mcu_selftest.py`)."""
