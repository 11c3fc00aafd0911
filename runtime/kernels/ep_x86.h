/* Sixteen int32 lanes of an x86 processor for int8 products: one AVX-512 register, or two of AVX2. EP_X_LANES is
 * defined where there are such lanes; elsewhere kernels are plain C.
 *
 *     ep_x                                sums
 *     ep_x_inputs, ep_x_weights           four unsigned, four signed bytes a lane, ready for ep_x_dot
 *     ep_x_dot                            sum of the four products, added to the lane; exact
 *     ep_x_scale, ep_x_rescale            ep_rescale of each lane, bit for bit, for shifts below 0
 *     ep_x_bytes, ep_x_narrow             four times sixteen lanes as bytes: zero point added, clamped
 *     ep_x_spread, ep_x_unspread          64 bytes to lanes and back, in an order that both share: lane 4 * i + t of
 *                                         the vector q is byte 16 * i + 4 * q + t */
#ifndef EP_X86_H
#define EP_X86_H

#include "ep_requant.h"

#if defined(EP_TARGET_AVX512VNNI)
#include "ep_x86_avx512.h"
#elif defined(EP_TARGET_AVX2)
#include "ep_x86_avx2.h"
#endif

#if defined(EP_X_LANES)

#define EP_INLINE static inline __attribute__((always_inline))

/* In front of a loop over registers: as many times as it says, without a loop. */
#if defined(__clang__)
#define EP_UNROLL _Pragma("clang loop unroll(full)")
#else
#define EP_UNROLL _Pragma("GCC unroll 32")
#endif

/* True if every factor is below 1/2. */
static inline int ep_all_shrink(const int32_t *shift, int32_t count)
{
    int32_t most = -1;
    for (int32_t n = 0; n < count; n++) most = shift[n] > most ? shift[n] : most;
    return most < 0;
}

#endif

#endif
