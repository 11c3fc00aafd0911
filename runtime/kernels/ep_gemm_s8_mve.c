/* ep_gemm_s8 for EP_LAYOUT_MVE: four outputs of two rows at a time. */
#include "ep_gemm_steps.h"

#include "ep_requant.h"

#if defined(EP_TARGET_MVE)

#include "ep_tile_mve.h"

/* All outputs of tile->pairs pairs of rows. */
static void two_rows(ep_tile_mve *tile)
{
    register ep_tile_mve *t __asm__("r9") = tile;
    __asm__ volatile(EP_BEGIN_MVE("56")
                     "1:\n" /* two rows */
                     "ldrd r0, r2, [r9, #56]\n"
                     "add r3, r0, r2\n"
                     "strd r0, r3, [r9, #0]\n"
                     "str r2, [r9, #8]\n"
                     "ldrd r11, r5, [r9, #48]\n"
                     "2:\n" /* four outputs */
                     "ldm r11, {r0, r2, r4, r6}\n"
                     "ldm r11!, {r8, r10, r12, r14}\n"
                     "ldrd r1, r3, [r9, #20]\n"
                     "ldr r7, [r9, #28]\n"
                     "ldr pc, [r9, #32]\n"
                     "4:\n"
                     "ldr r7, [r9, #44]\n"
                     "vctp.8 r7\n"
                     "vpstt\n"
                     "vldrbt.8 q0, [r1]\n"
                     "vldrbt.8 q1, [r3]\n"
                     "add r1, r1, r7\n"
                     "add r3, r3, r7\n"
                     "ldr r7, [r9, #28]\n" EP_PRODUCTS2_MVE
                     "ldr pc, [r9, #36]\n"
                     "5:\n" EP_STEP2_MVE EP_STEP2_MVE EP_STEP2_MVE EP_STEP2_MVE
                     "subs r7, r7, #1\n"
                     "bne 5b\n"
                     "6:\n"
                     "vmov d0, r0, r2\n"
                     "vmov d1, r4, r6\n"
                     "vmov d2, r8, r10\n"
                     "vmov d3, r12, r14\n" EP_SCALES_MVE
                     "8:\n"
                     "vqrdmulh.s32 q0, q0, q2\n"
                     "vqrdmulh.s32 q1, q1, q2\n"
                     "b 3f\n"
                     "9:\n" EP_SPLIT_MVE EP_LEFT_MVE("q0") EP_LEFT_MVE("q1") EP_RIGHT_MVE EP_LOWER_RIGHT_MVE("q0")
                     EP_LOWER_RIGHT_MVE("q1")
                     "b 3f\n"
                     "7:\n" EP_LOWER_MVE("q0") EP_LOWER_MVE("q1")
                     "3:\n" EP_CLAMP_MVE("q0") EP_CLAMP_MVE("q1")
                     "vctp.32 r4\n"
                     "vpstt\n"
                     "vstrbt.32 q0, [r0], #4\n"
                     "vstrbt.32 q1, [r2], #4\n"
                     "subs r4, r4, #4\n"
                     "stm r9, {r0, r2, r4}\n"
                     "bgt 2b\n"
                     "ldrd r0, r2, [r9, #56]\n"
                     "add r0, r0, r2, lsl #1\n"
                     "str r0, [r9, #56]\n"
                     "ldrd r0, r2, [r9, #64]\n"
                     "ldrd r1, r3, [r9, #20]\n"
                     "add r1, r1, r0, lsl #1\n"
                     "add r3, r3, r0, lsl #1\n"
                     "strd r1, r3, [r9, #20]\n"
                     "subs r2, r2, #1\n"
                     "str r2, [r9, #68]\n"
                     "bgt 1b\n"
                     "ldr r7, [r9, #92]\n"
                     : "+r"(t)
                     :
                     : EP_CLOBBERS_MVE);
}

/* All outputs of one row. */
static void one_row(ep_tile_mve *tile)
{
    register ep_tile_mve *t __asm__("r9") = tile;
    __asm__ volatile(EP_BEGIN_MVE("36")
                     "ldrd r0, r2, [r9, #56]\n"
                     "str r0, [r9, #0]\n"
                     "str r2, [r9, #8]\n"
                     "ldrd r11, r5, [r9, #48]\n"
                     "2:\n"
                     "ldm r11!, {r0, r2, r4, r6}\n"
                     "ldr r1, [r9, #20]\n"
                     "ldr r14, [r9, #28]\n"
                     "ldr pc, [r9, #32]\n"
                     "4:\n"
                     "ldr r7, [r9, #44]\n"
                     "vctp.8 r7\n"
                     "vpst\n"
                     "vldrbt.8 q0, [r1]\n"
                     "add r1, r1, r7\n" EP_PRODUCTS1_MVE
                     "ldr pc, [r9, #36]\n"
                     "5:\n" EP_STEP1_MVE EP_STEP1_MVE EP_STEP1_MVE EP_STEP1_MVE
                     "le lr, 5b\n"
                     "6:\n"
                     "vmov d0, r0, r2\n"
                     "vmov d1, r4, r6\n" EP_SCALES_MVE
                     "8:\n"
                     "vqrdmulh.s32 q0, q0, q2\n"
                     "b 3f\n"
                     "9:\n" EP_SPLIT_MVE EP_LEFT_MVE("q0") EP_RIGHT_MVE EP_LOWER_RIGHT_MVE("q0")
                     "b 3f\n"
                     "7:\n" EP_LOWER_MVE("q0")
                     "3:\n" EP_CLAMP_MVE("q0")
                     "vctp.32 r4\n"
                     "vpst\n"
                     "vstrbt.32 q0, [r0], #4\n"
                     "subs r4, r4, #4\n"
                     "stm r9, {r0, r2, r4}\n"
                     "bgt 2b\n"
                     "ldr r7, [r9, #92]\n"
                     : "+r"(t)
                     :
                     : EP_CLOBBERS_MVE);
}

static void run(const ep_gemm_s8_args *args, const int8_t *x, ptrdiff_t row_step, int32_t rows, int8_t *y)
{
    const ptrdiff_t outputs = args->outputs;
    const int32_t pairs = rows / 2;
    ep_tile_mve tile = ep_load_tile_mve(args);
    if (pairs > 0) {
        ep_place_tile_mve(&tile, x, row_step, pairs, y);
        two_rows(&tile);
    }
    if (rows % 2 != 0) {
        ep_place_tile_mve(&tile, x + 2 * pairs * row_step, 0, 1, y + 2 * pairs * outputs);
        one_row(&tile);
    }
}

#else

static int32_t dot(const int8_t *x, const int8_t *w, int32_t count)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < count; k++) acc += x[k] * w[k];
    return acc;
}

static int8_t output(const ep_gemm_s8_args *args, const int8_t *x, int32_t n)
{
    const int32_t first = args->depth % EP_STEP_DEPTH, step = EP_STEP_OUTPUTS * EP_STEP_DEPTH;
    const int32_t steps = args->depth / EP_STEP_DEPTH + (first > 0);
    const int32_t block = n / EP_STEP_OUTPUTS, lane = n % EP_STEP_OUTPUTS;
    const int8_t *w = args->weights + (ptrdiff_t)block * steps * step + lane * EP_STEP_DEPTH;
    int32_t acc = args->bias[n];
    if (first > 0) {
        acc += dot(x, w, first);
        w += step;
    }
    for (int32_t k = first; k < args->depth; k += EP_STEP_DEPTH, w += step) acc += dot(x + k, w, EP_STEP_DEPTH);
    return ep_clamp_s8(args->zero + ep_rescale(acc, args->multiplier[n], args->shift[n]), args->low, args->high);
}

static void run(const ep_gemm_s8_args *args, const int8_t *x, ptrdiff_t row_step, int32_t rows, int8_t *y)
{
    for (int32_t r = 0; r < rows; r++, x += row_step)
        for (int32_t n = 0; n < args->outputs; n++) *y++ = output(args, x, n);
}

#endif

void ep_gemm_steps_s8(const ep_gemm_s8_args *args, const int8_t *x, ptrdiff_t row_step, int32_t rows, int8_t *y)
{
    run(args, x, row_step, rows, y);
}

void ep_gemm_s8(const ep_gemm_s8_args *args, const int8_t *x, int32_t rows, int8_t *y)
{
    run(args, x, args->depth, rows, y);
}
