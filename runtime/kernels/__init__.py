"""C99 kernels of exported models: no heap, no stdio, no operating system. `export/c` copies what a model uses."""
