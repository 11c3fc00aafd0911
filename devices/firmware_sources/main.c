/* The harness: for each vector of vectors.bin calls the program and writes what it gave to outputs.bin.
 *
 * vectors.bin: "EDPV", vectors, bytes of one vector's inputs, bytes of its outputs (32-bit little endian), then the
 * inputs of each vector. outputs.bin: for each vector what the program said, the bytes of stack it used, its outputs.
 * Buffers and offsets are those of the generated edgepress_layout.h; the bytes between outputs are filled with
 * EDGEPRESS_FILL before each call, and what they are afterwards is written with them: that shows writes beyond. */
#include <stddef.h>
#include <stdint.h>

#include "edgepress_firmware.h"
#include "edgepress_layout.h"
#include "semihosting.h"

enum { EXIT_NO_VECTORS = 64, EXIT_NOT_WRITTEN = 65, EXIT_PROGRAM = 66 };
enum { MAGIC = 0x56504445 /* "EDPV" */ };

extern uint32_t __stack_limit__[];
int edgepress_main(void);
int edgepress_call(const void *const *inputs, void *const *outputs);

#define PAINT 0xA5C3E1F0

static uint8_t inputs[EDGEPRESS_INPUT_BYTES] __attribute__((aligned(16)));
static uint8_t outputs[EDGEPRESS_OUTPUT_BYTES] __attribute__((aligned(16)));
static const uint32_t input_offsets[] = EDGEPRESS_INPUT_OFFSETS;
static const uint32_t output_offsets[] = EDGEPRESS_OUTPUT_OFFSETS;
#define COUNT(array) (sizeof(array) / sizeof *(array))

uint32_t *edgepress_stack_at_call __attribute__((used));

#define TEXT_OF(value) #value
#define TEXT(value) TEXT_OF(value)

/* Paints the stack that is free, notes where it begins, calls. In assembly so that the program's instructions lie
 * exactly between its first one and `edgepress_returned`, and its stack exactly below the one noted. */
__attribute__((naked, noinline)) int edgepress_call(const void *const *in, void *const *out)
{
    (void)in, (void)out;
    __asm__ volatile("push {r4, lr}\n"
                     "ldr r2, =__stack_limit__\n"
                     "ldr r3, =" TEXT(PAINT) "\n"
                     "mov r12, sp\n"
                     "1: cmp r2, r12\n"
                     "itt lo\n"
                     "strlo r3, [r2], #4\n"
                     "blo 1b\n"
                     "ldr r2, =edgepress_stack_at_call\n"
                     "str r12, [r2]\n"
                     "bl edgepress_step\n"
                     ".global edgepress_returned\n"
                     "edgepress_returned:\n"
                     "pop {r4, pc}\n"
                     ".ltorg\n");
}

static uint32_t stack_used(void)
{
    const uint32_t *lowest = __stack_limit__;
    while (lowest < edgepress_stack_at_call && *lowest == PAINT) lowest++;
    return (uint32_t)((uintptr_t)edgepress_stack_at_call - (uintptr_t)lowest);
}

int edgepress_main(void)
{
    uint32_t head[4];
    const void *in[COUNT(input_offsets)];
    void *out[COUNT(output_offsets)];
    int32_t source = semihosting_open("vectors.bin", OPEN_READ_BINARY);
    int32_t sink = semihosting_open("outputs.bin", OPEN_WRITE_BINARY);
    if (source < 0 || !semihosting_read(source, head, sizeof head)) return EXIT_NO_VECTORS;
    if (sink < 0) return EXIT_NOT_WRITTEN;
    if (head[0] != MAGIC || head[2] != sizeof inputs || head[3] != sizeof outputs) return EXIT_NO_VECTORS;
    for (size_t i = 0; i < COUNT(in); i++) in[i] = inputs + input_offsets[i];
    for (size_t i = 0; i < COUNT(out); i++) out[i] = outputs + output_offsets[i];
    for (uint32_t vector = 0; vector < head[1]; vector++) {
        if (!semihosting_read(source, inputs, sizeof inputs)) return EXIT_NO_VECTORS;
        for (size_t i = 0; i < sizeof outputs; i++) outputs[i] = EDGEPRESS_FILL;
        int said = edgepress_call(in, out);
        const uint32_t row[2] = {(uint32_t)said, stack_used()};
        if (!semihosting_write(sink, row, sizeof row)) return EXIT_NOT_WRITTEN;
        if (!semihosting_write(sink, outputs, sizeof outputs)) return EXIT_NOT_WRITTEN;
        if (said != 0) return EXIT_PROGRAM;
    }
    semihosting_close(sink);
    return 0;
}
