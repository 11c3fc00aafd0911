/* The program that does nothing: what the harness and the library take without one. */
#include "edgepress_firmware.h"

int edgepress_step(const void *const *inputs, void *const *outputs)
{
    (void)inputs, (void)outputs;
    return 0;
}
