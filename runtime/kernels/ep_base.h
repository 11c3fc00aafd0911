/* What every kernel shares: the compiler's words, the layout of packed weights, the target's variant.
 *
 * Kernels use no heap, no stdio and no state: all memory is handed in, so that several models and several contexts
 * of one model may run interleaved. Tensors are dense, channels last. */
#ifndef EP_BASE_H
#define EP_BASE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define EP_RESTRICT __restrict__
#define EP_ALIGNED(bytes) __attribute__((aligned(bytes)))
#else
#define EP_RESTRICT
#define EP_ALIGNED(bytes)
#endif

/* Layouts of packed weights. A model says which one its weights have; kernels of another layout refuse it. */
#define EP_LAYOUT_ROWS 1 /* int8: [outputs][taps * channels]; float: [taps * channels][outputs] */

/* Variants of the inner loops, one at a time, chosen by the build. Only ep_gemm_s8.c, ep_gemm_f32.c and
 * ep_depthwise_s8.c look at it; everything else is the same everywhere. */
#if !defined(EP_TARGET_PORTABLE)
#define EP_TARGET_PORTABLE 1
#endif
#define EP_LAYOUT EP_LAYOUT_ROWS

/* Largest number of axes of strided kernels, after neighbouring axes were merged. */
#define EP_RANK 6

/* Rows that a convolution gathers before it multiplies them. */
#define EP_GEMM_ROWS 4

/* Right shifts of negative numbers must be arithmetic. */
typedef char ep_assert_arithmetic_shift[((-5) >> 1) == -3 ? 1 : -1];

#endif
