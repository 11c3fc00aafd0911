/* The few semihosting calls that the harness makes: binary files in the emulator's working folder, and exit. */
#ifndef EDGEPRESS_SEMIHOSTING_H
#define EDGEPRESS_SEMIHOSTING_H

#include <stddef.h>
#include <stdint.h>

enum open_mode { OPEN_READ_BINARY = 1, OPEN_WRITE_BINARY = 5 };

int32_t semihosting_open(const char *name, enum open_mode mode);           /* a handle, or -1 */
int semihosting_read(int32_t handle, void *buffer, size_t bytes);          /* 1 if all of them came */
int semihosting_write(int32_t handle, const void *buffer, size_t bytes);   /* 1 if all of them went */
void semihosting_close(int32_t handle);
_Noreturn void semihosting_exit(uint32_t code);                            /* the emulator's exit status */

#endif
