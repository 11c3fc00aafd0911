/* A vector of int32 for element-wise int8 kernels: one set of functions, a header a target. EP_VEC_LANES is how many
 * lanes there are; where it is not defined there are no vectors, and kernels take their scalar loops.
 *
 *     ep_vec, ep_vec_scale                          lanes; multipliers and shifts of the lanes, made ready
 *     ep_vec_set1, ep_vec_load_s8, ep_vec_load_s32  one value in all lanes; EP_VEC_LANES neighbours in memory
 *     ep_vec_add, _sub, _mul, _max, _min, _shl      lane by lane, low 32 bits
 *     ep_vec_scale_set1, ep_vec_scale_load          of one ep_scale; of EP_VEC_LANES multipliers and shifts
 *     ep_vec_rescale                                ep_rescale of each lane, bit for bit
 *     ep_vec_store_s8                               clamp(zero + value, low, high) of each lane, EP_VEC_LANES bytes
 *
 * Sums of `zero + value` stay within 32 bits, as in the scalar kernels. */
#ifndef EP_VEC_H
#define EP_VEC_H

#include "ep_requant.h"

#if defined(EP_TARGET_AVX512VNNI)
#include "ep_vec_avx512.h"
#elif defined(EP_TARGET_AVX2)
#include "ep_vec_avx2.h"
#elif defined(EP_TARGET_MVE)
#include "ep_vec_mve.h"
#elif defined(EP_TARGET_NEON)
#include "ep_vec_neon.h"
#endif

#endif
