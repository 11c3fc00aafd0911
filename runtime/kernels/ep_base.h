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
#define EP_NOINLINE __attribute__((noinline))
#else
#define EP_RESTRICT
#define EP_ALIGNED(bytes)
#define EP_NOINLINE
#endif

/* Layouts of packed int8 weights. A model says which one its weights have; kernels of another layout refuse it.
 * Float weights are [depth][outputs] in all of them. */
#define EP_LAYOUT_ROWS 1       /* [outputs][depth]; inputs as they are */
#define EP_LAYOUT_BLOCKS16X4 2 /* [outputs / 16][depth / 4][16][4], filled up with 0; inputs count from -128 */
#define EP_LAYOUT_SMLAD 3      /* Cortex-M with the DSP extension */
#define EP_LAYOUT_MVE 4        /* Cortex-M with Helium */
#define EP_LAYOUT_NEON 5       /* Cortex-A without the dot product */
#define EP_LAYOUT_NEON_DOT 6   /* Cortex-A with it */

/* Written by the exporter: EP_LAYOUT, which is the same in all models of one program. */
#include "ep_target.h"

/* Variants of the inner loops, where the compiler's target has what they need; otherwise they are plain C. Only
 * the int8 products and depthwise convolutions look at them, everything else is the same everywhere. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VNNI__)
#define EP_TARGET_AVX512VNNI 1
#endif
#if defined(__AVX2__)
#define EP_TARGET_AVX2 1
#endif
#if defined(__ARM_NEON) && defined(__aarch64__)
#define EP_TARGET_NEON 1
#endif
#if defined(EP_TARGET_NEON) && defined(__ARM_FEATURE_DOTPROD)
#define EP_TARGET_DOTPROD 1
#endif
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define EP_TARGET_MVE 1
#endif
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define EP_TARGET_SMLAD 1
#endif

/* Assembly that takes nearly all registers of a Cortex-M: gcc has so many where it optimizes and keeps no frame pointer
 * (-fno-omit-frame-pointer wants EP_WITHOUT_ASM), clang has not. Plain C computes the same. */
#if defined(EP_TARGET_SMLAD) && defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && \
    !defined(EP_WITHOUT_ASM)
#define EP_SMLAD_ASM 1
#endif

/* Largest number of axes of strided kernels, after neighbouring axes were merged. */
#define EP_RANK 6

/* Rows that a convolution gathers before it multiplies them. */
#if EP_LAYOUT == EP_LAYOUT_BLOCKS16X4
#define EP_GEMM_ROWS 8
#define EP_FLOAT_ROWS 8
#else
#define EP_GEMM_ROWS 4
#define EP_FLOAT_ROWS 4
#endif

/* Right shifts of negative numbers must be arithmetic. */
typedef char ep_assert_arithmetic_shift[((-5) >> 1) == -3 ? 1 : -1];

#endif
