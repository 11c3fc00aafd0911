/* The harness on Linux: as main.c, for a static program of its own. Call: program VECTORS OUTPUTS [SAMPLES].
 *
 * Reads and writes the files of main.c (the stack is told as 0). The vectors begin with two marks in a row and every
 * call lies between two marks: whoever counts instructions from outside sees the closing of descriptor numbers that
 * cannot exist, and changes nothing.
 *
 * With SAMPLES the last vector is computed again and again afterwards: half a second to warm up, then so many samples,
 * each the mean of as many calls as take a tenth of a millisecond. They go to standard output as one line of JSON. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "edgepress_firmware.h"
#include "edgepress_layout.h"

enum { EXIT_NO_VECTORS = 64, EXIT_NOT_WRITTEN = 65, EXIT_PROGRAM = 66 };
enum { MAGIC = 0x56504445 /* "EDPV" */ };
#define MARK_FIRST 0x7E000000
#define WARM_UP_MS 500.0
#define LEAST_MS 0.1

static uint8_t inputs[EDGEPRESS_INPUT_BYTES] __attribute__((aligned(64)));
static uint8_t outputs[EDGEPRESS_OUTPUT_BYTES] __attribute__((aligned(64)));
static const uint32_t input_offsets[] = EDGEPRESS_INPUT_OFFSETS;
static const uint32_t output_offsets[] = EDGEPRESS_OUTPUT_OFFSETS;
#define COUNT(array) (sizeof(array) / sizeof *(array))

int edgepress_call(const void *const *in, void *const *out);

#if defined(__aarch64__)
/* In assembly so that the program's instructions lie exactly between its first one and `edgepress_returned`. */
__asm__(".text\n"
        ".global edgepress_call\n"
        "edgepress_call:\n"
        "stp x29, x30, [sp, #-16]!\n"
        "bl edgepress_step\n"
        ".global edgepress_returned\n"
        "edgepress_returned:\n"
        "ldp x29, x30, [sp], #16\n"
        "ret\n");
#else
int edgepress_call(const void *const *in, void *const *out)
{
    return edgepress_step(in, out);
}
#endif

static void mark(int number)
{
    (void)close(MARK_FIRST + number);
}

static int read_all(int file, void *buffer, size_t bytes)
{
    uint8_t *at = buffer;
    while (bytes > 0) {
        ssize_t came = read(file, at, bytes);
        if (came <= 0) return 0;
        at += came, bytes -= (size_t)came;
    }
    return 1;
}

static int write_all(int file, const void *buffer, size_t bytes)
{
    const uint8_t *at = buffer;
    while (bytes > 0) {
        ssize_t went = write(file, at, bytes);
        if (went <= 0) return 0;
        at += went, bytes -= (size_t)went;
    }
    return 1;
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double mean_of(long calls, const void *const *in, void *const *out)
{
    double begin = now_ms();
    for (long i = 0; i < calls; i++) edgepress_call(in, out);
    return (now_ms() - begin) / (double)calls;
}

static void time_calls(long samples, double first_ms, const void *const *in, void *const *out)
{
    struct rusage used;
    double one = first_ms, until = now_ms() + WARM_UP_MS;
    long calls;
    while (now_ms() < until) one = mean_of(1, in, out);
    calls = one > 0.0 && one < LEAST_MS ? (long)(LEAST_MS / one) + 1 : 1;
    printf("{\"samples_ms\": [");
    for (long i = 0; i < samples; i++) printf("%s%.6f", i ? ", " : "", mean_of(calls, in, out));
    getrusage(RUSAGE_SELF, &used);
    printf("], \"first_invoke_ms\": %.6f, \"peak_rss_bytes\": %lld}\n", first_ms, (long long)used.ru_maxrss * 1024);
}

int main(int count, char **words)
{
    uint32_t head[4];
    double first_ms = 0.0;
    const void *in[COUNT(input_offsets)];
    void *out[COUNT(output_offsets)];
    int source = count >= 3 ? open(words[1], O_RDONLY) : -1;
    int sink = count >= 3 ? open(words[2], O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
    if (source < 0 || !read_all(source, head, sizeof head)) return EXIT_NO_VECTORS;
    if (sink < 0) return EXIT_NOT_WRITTEN;
    if (head[0] != MAGIC || head[2] != sizeof inputs || head[3] != sizeof outputs) return EXIT_NO_VECTORS;
    for (size_t i = 0; i < COUNT(in); i++) in[i] = inputs + input_offsets[i];
    for (size_t i = 0; i < COUNT(out); i++) out[i] = outputs + output_offsets[i];
    mark(0);
    mark(1);
    for (uint32_t vector = 0; vector < head[1]; vector++) {
        if (!read_all(source, inputs, sizeof inputs)) return EXIT_NO_VECTORS;
        for (size_t i = 0; i < sizeof outputs; i++) outputs[i] = EDGEPRESS_FILL;
        double begin = vector == 0 ? now_ms() : 0.0;
        mark(2);
        int said = edgepress_call(in, out);
        mark(3);
        if (vector == 0) first_ms = now_ms() - begin;
        const uint32_t row[2] = {(uint32_t)said, 0};
        if (!write_all(sink, row, sizeof row)) return EXIT_NOT_WRITTEN;
        if (!write_all(sink, outputs, sizeof outputs)) return EXIT_NOT_WRITTEN;
        if (said != 0) return EXIT_PROGRAM;
    }
    if (close(sink) != 0) return EXIT_NOT_WRITTEN;
    if (count > 3 && head[1] > 0) time_calls(strtol(words[3], NULL, 10), first_ms, in, out);
    return 0;
}
