/* The inner loops of products for Helium, in assembly: eight sums in the eight even registers leave a compiler none for
 * what surrounds them. Only for targets with MVE.
 *
 * Sums are made of sixteen products an instruction; sixteen-byte loads are spread between them, which a core does at
 * the same time. Four sums become a vector that is rescaled as ep_requant.h says:
 *   VQRDMULH is its high product, for multipliers from 0 on; VRSHL rounds half up, so that negative numbers are lowered
 *   by one before it where bits are shifted out, unless all of them are clamped to the zero point anyway. */
#ifndef EP_TILE_MVE_H
#define EP_TILE_MVE_H

#include <arm_mve.h>

#include "ep_gemm_steps.h"

/* What the loops read; in assembly, fields are known by their places. */
typedef struct {
    int8_t *y0, *y1;                /* 0, 4: where the next outputs go */
    int32_t left;                   /* 8: outputs of the row */
    ptrdiff_t multiplier, shift;    /* 12, 16: distance to those of four outputs from behind their biases */
    const int8_t *x0, *x1;          /* 20, 24 */
    int32_t turns;                  /* 28: of the loop over four steps */
    uintptr_t start, go_on, finish; /* 32, 36, 40: in the code: begin of a row, whole steps, end */
    int32_t first;                  /* 44: elements of a first step that is not whole */
    const int32_t *bias;            /* 48 */
    const int8_t *weights;          /* 52 */
    int8_t *y;                      /* 56: this row, or the first of two */
    int32_t outputs;                /* 60 */
    ptrdiff_t row_step;             /* 64 */
    int32_t pairs;                  /* 68: pairs of rows that are left */
    int32_t zero, low, high;        /* 72, 76, 80 */
    int32_t skip;                   /* 84: steps that the first turn leaves out */
    int32_t kind;                   /* 88: one of EP_FINISH_... */
    uint32_t saved;                 /* 92: register 7 */
} ep_tile_mve;

typedef char ep_assert_tile[offsetof(ep_tile_mve, first) == 44 && offsetof(ep_tile_mve, saved) == 92 ? 1 : -1];

#define EP_FINISH_NEGATIVE 0 /* every factor is below 1/2 */
#define EP_FINISH_POSITIVE 1 /* also, what is below the zero point is clamped to it */
#define EP_FINISH_ANY 2

static inline int32_t ep_finish_kind_mve(const ep_gemm_s8_args *args)
{
    int32x4_t most = vdupq_n_s32(-32);
    for (int32_t n = 0; n < args->outputs; n += 4) most = vmaxq_s32(most, vldrwq_s32(args->shift + n));
    if (vmaxvq_s32(-32, most) >= 0) return EP_FINISH_ANY;
    return args->low >= args->zero ? EP_FINISH_POSITIVE : EP_FINISH_NEGATIVE;
}

static inline ep_tile_mve ep_load_tile_mve(const ep_gemm_s8_args *args)
{
    const int32_t steps = args->depth / EP_STEP_DEPTH;
    ep_tile_mve t;
    t.multiplier = (ptrdiff_t)((uintptr_t)args->multiplier - (uintptr_t)(args->bias + 4));
    t.shift = (ptrdiff_t)((uintptr_t)args->shift - (uintptr_t)(args->bias + 4));
    t.turns = (steps + 3) / 4;
    t.skip = t.turns * 4 - steps;
    t.first = args->depth % EP_STEP_DEPTH;
    t.bias = args->bias;
    t.weights = args->weights;
    t.outputs = args->outputs;
    t.zero = args->zero;
    t.low = args->low;
    t.high = args->high;
    t.kind = ep_finish_kind_mve(args);
    return t;
}

static inline void ep_place_tile_mve(ep_tile_mve *t, const int8_t *x, ptrdiff_t row_step, int32_t pairs, int8_t *y)
{
    t->x0 = x;
    t->x1 = x + row_step;
    t->y = y;
    t->row_step = row_step;
    t->pairs = pairs;
}

/* Registers: r0 r2 r4 r6 sums of the first row, r8 r10 r12 r14 of the second; r1 r3 the rows, r5 weights, r7 turns,
 * r9 the tile, r11 behind the biases. q5 zero point, q6 and q7 bounds. r7 is saved by hand: it may be a frame pointer,
 * which no compiler lends. */
#define EP_CLOBBERS_MVE                                                                                              \
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r10", "r11", "r12", "r14", "q0", "q1", "q2", "q3", "q4", "q5",   \
        "q6", "q7", "cc", "memory"

/* Places in the code, and the constants. STEP_BYTES is the length of one step of the loop. ADR counts from whole words:
 * its section must be aligned to them. */
#define EP_BEGIN_MVE(STEP_BYTES)                                                                                     \
    ".p2align 2\n"                                                                                                   \
    "str r7, [r9, #92]\n"                                                                                            \
    "ldr r0, [r9, #84]\n"                                                                                            \
    "mov r1, #" STEP_BYTES "\n"                                                                                      \
    "adr.w r2, 5f\n"                                                                                                 \
    "mla r0, r0, r1, r2\n"                                                                                           \
    "ldr r1, [r9, #28]\n"                                                                                            \
    "cmp r1, #0\n"                                                                                                   \
    "adr.w r2, 6f\n"                                                                                                 \
    "it eq\n"                                                                                                        \
    "moveq r0, r2\n"                                                                                                 \
    "orr r0, r0, #1\n"                                                                                               \
    "str r0, [r9, #36]\n"                                                                                            \
    "ldr r1, [r9, #44]\n"                                                                                            \
    "cmp r1, #0\n"                                                                                                   \
    "adr.w r2, 4f\n"                                                                                                 \
    "it ne\n"                                                                                                        \
    "orrne r0, r2, #1\n"                                                                                             \
    "str r0, [r9, #32]\n"                                                                                            \
    "ldr r1, [r9, #88]\n"                                                                                            \
    "cmp r1, #1\n"                                                                                                   \
    "adr.w r0, 7f\n"                                                                                                 \
    "it eq\n"                                                                                                        \
    "adreq.w r0, 8f\n"                                                                                               \
    "it gt\n"                                                                                                        \
    "adrgt.w r0, 9f\n"                                                                                               \
    "orr r0, r0, #1\n"                                                                                               \
    "str r0, [r9, #40]\n"                                                                                            \
    "ldr r0, [r9, #72]\n"                                                                                            \
    "ldr r1, [r9, #76]\n"                                                                                            \
    "ldr r2, [r9, #80]\n"                                                                                            \
    "vdup.32 q5, r0\n"                                                                                               \
    "vdup.32 q6, r1\n"                                                                                               \
    "vdup.32 q7, r2\n"

/* Sixteen products of each sum. */
#define EP_PRODUCTS2_MVE                                                                                             \
    "vldrb.8 q2, [r5], #16\n"                                                                                        \
    "vmladava.s8 r0, q0, q2\n"                                                                                       \
    "vldrb.8 q3, [r5], #16\n"                                                                                        \
    "vmladava.s8 r8, q1, q2\n"                                                                                       \
    "vmladava.s8 r2, q0, q3\n"                                                                                       \
    "vldrb.8 q4, [r5], #16\n"                                                                                        \
    "vmladava.s8 r10, q1, q3\n"                                                                                      \
    "vmladava.s8 r4, q0, q4\n"                                                                                       \
    "vldrb.8 q2, [r5], #16\n"                                                                                        \
    "vmladava.s8 r12, q1, q4\n"                                                                                      \
    "vmladava.s8 r6, q0, q2\n"                                                                                       \
    "vmladava.s8 r14, q1, q2\n"

#define EP_STEP2_MVE                                                                                                 \
    "vldrb.8 q0, [r1], #16\n"                                                                                        \
    "vldrb.8 q1, [r3], #16\n" EP_PRODUCTS2_MVE

#define EP_PRODUCTS1_MVE                                                                                             \
    "vldrb.8 q2, [r5], #16\n"                                                                                        \
    "vmladava.s8 r0, q0, q2\n"                                                                                       \
    "vldrb.8 q3, [r5], #16\n"                                                                                        \
    "vmladava.s8 r2, q0, q3\n"                                                                                       \
    "vldrb.8 q2, [r5], #16\n"                                                                                        \
    "vmladava.s8 r4, q0, q2\n"                                                                                       \
    "vldrb.8 q3, [r5], #16\n"                                                                                        \
    "vmladava.s8 r6, q0, q3\n"

#define EP_STEP1_MVE "vldrb.8 q0, [r1], #16\n" EP_PRODUCTS1_MVE

/* Scales of the four outputs: q2 multipliers, q3 shifts; r0, r2 the places of results, r4 outputs left. */
#define EP_SCALES_MVE                                                                                                \
    "ldm r9, {r0, r2, r4, r6, r8}\n"                                                                                 \
    "add r6, r6, r11\n"                                                                                              \
    "add r8, r8, r11\n"                                                                                              \
    "vldrw.32 q2, [r6]\n"                                                                                            \
    "vldrw.32 q3, [r8]\n"                                                                                            \
    "ldr pc, [r9, #40]\n"

/* Factors of any size: the left shift first; only lanes that are shifted to the right are lowered. q4 is free. */
#define EP_LEFT_MVE(q)                                                                                               \
    "vqshl.s32 " q ", " q ", q4\n"                                                                                   \
    "vqrdmulh.s32 " q ", " q ", q2\n"
#define EP_SPLIT_MVE                                                                                                 \
    "vmov.i32 q4, #0\n"                                                                                              \
    "vmax.s32 q4, q3, q4\n"
#define EP_RIGHT_MVE                                                                                                 \
    "vmov.i32 q4, #0\n"                                                                                              \
    "vmin.s32 q3, q3, q4\n"
#define EP_LOWER_RIGHT_MVE(q)                                                                                        \
    "vand q4, " q ", q3\n"                                                                                           \
    "vshr.s32 q4, q4, #31\n"                                                                                         \
    "vadd.i32 " q ", " q ", q4\n"

#define EP_LOWER_MVE(q)                                                                                              \
    "vqrdmulh.s32 " q ", " q ", q2\n"                                                                                \
    "vshr.s32 q4, " q ", #31\n"                                                                                      \
    "vadd.i32 " q ", " q ", q4\n"

#define EP_CLAMP_MVE(q)                                                                                              \
    "vrshl.s32 " q ", " q ", q3\n"                                                                                   \
    "vadd.i32 " q ", " q ", q5\n"                                                                                    \
    "vmax.s32 " q ", " q ", q6\n"                                                                                    \
    "vmin.s32 " q ", " q ", q7\n"

#endif
