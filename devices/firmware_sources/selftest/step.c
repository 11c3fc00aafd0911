/* The kernel as a program under test. */
#include "edgepress_firmware.h"
#include "matmul.h"

int edgepress_step(const void *const *inputs, void *const *outputs)
{
    matmul(inputs[0], inputs[1], outputs[0]);
    return 0;
}
