/* Arm semihosting 2.0: operation in r0, block of arguments in r1, `bkpt 0xAB` on M profile. No stdio. */
#include "semihosting.h"

enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { STOPPED_APPLICATION_EXIT = 0x20026 };

static int32_t call(uint32_t operation, const void *block)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

int32_t semihosting_open(const char *name, enum open_mode mode)
{
    uint32_t length = 0;
    while (name[length]) length++;
    const uint32_t block[3] = {(uint32_t)(uintptr_t)name, mode, length};
    return call(SYS_OPEN, block);
}

/* Read and write answer with the number of bytes that were left over. */
int semihosting_read(int32_t handle, void *buffer, size_t bytes)
{
    const uint32_t block[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)buffer, bytes};
    return bytes == 0 || call(SYS_READ, block) == 0;
}

int semihosting_write(int32_t handle, const void *buffer, size_t bytes)
{
    const uint32_t block[3] = {(uint32_t)handle, (uint32_t)(uintptr_t)buffer, bytes};
    return bytes == 0 || call(SYS_WRITE, block) == 0;
}

void semihosting_close(int32_t handle)
{
    const uint32_t block[1] = {(uint32_t)handle};
    call(SYS_CLOSE, block);
}

_Noreturn void semihosting_exit(uint32_t code)
{
    const uint32_t block[2] = {STOPPED_APPLICATION_EXIT, code};
    for (;;) call(SYS_EXIT_EXTENDED, block);
}
