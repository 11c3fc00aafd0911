/* Sums of windows of 4 x 4 for Helium, in assembly: the lanes of channels [column][16 channels][4 lines] in a strip.
 * Only for targets with MVE. Results as ep_requant.h says for factors below 1/2; other channels' are of no use. */
#ifndef EP_WINDOWS_MVE_H
#define EP_WINDOWS_MVE_H

#include <arm_mve.h>

#include "ep_base.h"

/* In assembly, fields are known by their places. */
typedef struct {
    const int32_t *bias, *multiplier, *shift; /* 0, 4, 8: of the next channel */
    const int8_t *weights;                    /* 12 */
    int8_t *y;                                /* 16: one byte before where its results go */
    int32_t channels;                         /* 20 */
    int32_t rows;                             /* 24: rows of windows in the strip */
    int32_t turns, rest;                      /* 28, 32: whole groups of a row, windows that are left */
    ptrdiff_t step, back;                     /* 36, 40: from the results of a group to the next, of a window */
    ptrdiff_t row, line;                      /* 44, 48: from row to row: results; columns, from behind the groups */
    int32_t zero;                             /* 52 */
    uint32_t saved, unused;                   /* 56: register 7 */
    uint32x4_t from;                          /* 64: addresses of a window's columns, a group and four bytes before */
    uint32x4_t places;                        /* 80: offsets of a group's results */
    int32x4_t low, high;                      /* 96, 112 */
} ep_windows;

typedef char ep_assert_windows[offsetof(ep_windows, zero) == 52 && offsetof(ep_windows, high) == 112 ? 1 : -1];

#define EP_WINDOW_CLOBBERS_MVE                                                                                       \
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r10", "r11", "r12", "r14", "q0", "q1", "q2", "q3", "q4", "q5",   \
        "q6", "q7", "cc", "memory"

/* r3 bias, r5 multiplier, r7 shift, r8 zero point, r1 results, r10 those of the row, r11 step, r12 rows; q2 addresses,
 * q3 places, q4 weights, q6 and q7 bounds; sums in r0 r2 r4 r6. */
#define EP_CHANNEL_MVE                                                                                               \
    "str r7, [r9, #56]\n"                                                                                            \
    "ldr r8, [r9, #52]\n"                                                                                            \
    "ldr r11, [r9, #36]\n"                                                                                           \
    "vldrw.32 q3, [r9, #80]\n"                                                                                       \
    "vldrw.32 q6, [r9, #96]\n"                                                                                       \
    "vldrw.32 q7, [r9, #112]\n"                                                                                      \
    "1:\n"                                                                                                           \
    "ldm r9, {r0, r2, r4, r6, r10}\n"                                                                                \
    "ldr r3, [r0], #4\n"                                                                                             \
    "ldr r5, [r2], #4\n"                                                                                             \
    "ldr r7, [r4], #4\n"                                                                                             \
    "vldrb.8 q4, [r6], #16\n"                                                                                        \
    "add r10, r10, #1\n"                                                                                             \
    "stm r9, {r0, r2, r4, r6, r10}\n"                                                                                \
    "vldrw.32 q2, [r9, #64]\n"                                                                                       \
    "mov r0, #4\n"                                                                                                   \
    "vadd.i32 q2, q2, r0\n"                                                                                          \
    "vstrw.32 q2, [r9, #64]\n"                                                                                       \
    "ldr r12, [r9, #24]\n"

#define EP_ROW_MVE                                                                                                   \
    "2:\n"                                                                                                           \
    "ldr r0, [r9, #28]\n"                                                                                            \
    "mov r1, r10\n"                                                                                                  \
    "wls lr, r0, 4f\n"                                                                                               \
    "3:\n"

#define EP_SCALED_MVE                                                                                                \
    "vmov d0, r0, r2\n"                                                                                              \
    "vmov d1, r4, r6\n"                                                                                              \
    "vadd.i32 q0, q0, r3\n"                                                                                          \
    "vqrdmulh.s32 q0, q0, r5\n"                                                                                      \
    "vshr.s32 q1, q0, #31\n"                                                                                         \
    "vadd.i32 q0, q0, q1\n"                                                                                          \
    "vrshl.s32 q0, r7\n"                                                                                             \
    "vadd.i32 q0, q0, r8\n"

#define EP_NEXT_MVE                                                                                                  \
    "6:\n"                                                                                                           \
    "ldrd r0, r2, [r9, #44]\n"                                                                                       \
    "add r10, r10, r0\n"                                                                                             \
    "vadd.i32 q2, q2, r2\n"                                                                                          \
    "subs r12, r12, #1\n"                                                                                            \
    "bgt 2b\n"                                                                                                       \
    "ldr r0, [r9, #20]\n"                                                                                            \
    "subs r0, r0, #1\n"                                                                                              \
    "str r0, [r9, #20]\n"                                                                                            \
    "bgt 1b\n"                                                                                                       \
    "ldr r7, [r9, #56]\n"

#define EP_FOUR_SUMS_MVE                                                                                             \
    "vldrw.u32 q0, [q2, #128]!\n"                                                                                    \
    "vmladav.s8 r0, q0, q4\n"                                                                                        \
    "vmladav.s8 r2, q0, q5\n"                                                                                        \
    "vshr.u32 q0, q0, #8\n"                                                                                          \
    "vmladav.s8 r4, q0, q4\n"                                                                                        \
    "vmladav.s8 r6, q0, q5\n" EP_SCALED_MVE                                                                          \
    "vmax.s32 q0, q0, q6\n"                                                                                          \
    "vmin.s32 q0, q0, q7\n"                                                                                          \
    "vstrb.32 q0, [r1, q3]\n"

/* Groups of two neighbours on two lines: one load, four sums; the weights are shifted by a column, the window by a
 * line. A window that is left is computed with the one before it. */
static void ep_paired_windows_mve(ep_windows *windows)
{
    register ep_windows *t __asm__("r9") = windows;
    __asm__ volatile(EP_CHANNEL_MVE
                     "vmov q5, q4\n"
                     "mov r0, #0\n"
                     "vshlc q5, r0, #32\n" EP_ROW_MVE EP_FOUR_SUMS_MVE
                     "add r1, r1, r11\n"
                     "le lr, 3b\n"
                     "4:\n"
                     "ldr r0, [r9, #32]\n"
                     "cbz r0, 6f\n"
                     "ldr r4, [r9, #40]\n"
                     "sub r1, r1, r4\n"
                     "mov r0, #64\n"
                     "vsub.i32 q2, q2, r0\n" EP_FOUR_SUMS_MVE EP_NEXT_MVE
                     : "+r"(t)
                     :
                     : EP_WINDOW_CLOBBERS_MVE);
}

#define EP_SUM_MVE(sum)                                                                                              \
    "vldrw.u32 q0, [q2, #128]!\n"                                                                                    \
    "vmladav.s8 " sum ", q0, q4\n"
#define EP_FOUR_WINDOWS_MVE                                                                                          \
    EP_SUM_MVE("r0")                                                                                                 \
    EP_SUM_MVE("r2")                                                                                                 \
    EP_SUM_MVE("r4")                                                                                                 \
    EP_SUM_MVE("r6")                                                                                                 \
    EP_SCALED_MVE                                                                                                    \
    "vmax.s32 q0, q0, q6\n"                                                                                          \
    "vmin.s32 q0, q0, q7\n"

/* Groups of four windows of a line, two columns apart. */
static void ep_wide_windows_mve(ep_windows *windows)
{
    register ep_windows *t __asm__("r9") = windows;
    __asm__ volatile(EP_CHANNEL_MVE EP_ROW_MVE EP_FOUR_WINDOWS_MVE
                     "vstrb.32 q0, [r1, q3]\n"
                     "add r1, r1, r11\n"
                     "le lr, 3b\n"
                     "4:\n"
                     "ldr r0, [r9, #32]\n"
                     "cbz r0, 6f\n"
                     EP_FOUR_WINDOWS_MVE
                     "ldr r0, [r9, #32]\n"
                     "vctp.32 r0\n"
                     "vpst\n"
                     "vstrbt.32 q0, [r1, q3]\n" EP_NEXT_MVE
                     : "+r"(t)
                     :
                     : EP_WINDOW_CLOBBERS_MVE);
}

#endif
