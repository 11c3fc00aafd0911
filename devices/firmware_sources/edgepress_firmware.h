/* What a program under test implements. The harness calls it once for each test vector. */
#ifndef EDGEPRESS_FIRMWARE_H
#define EDGEPRESS_FIRMWARE_H

#ifdef __cplusplus
extern "C" {
#endif

/* `inputs` and `outputs` point to one buffer for each tensor, in their order, each aligned to 16 bytes and of
 * exactly the bytes that the vectors say. Gives 0, or an error number of the program's own (1 to 2^31 - 1). */
int edgepress_step(const void *const *inputs, void *const *outputs);

#ifdef __cplusplus
}
#endif

#endif
