/* ep_vec.h with Helium: four lanes. */
#ifndef EP_VEC_MVE_H
#define EP_VEC_MVE_H

#include <arm_mve.h>

#include "ep_requant.h"

#define EP_VEC_LANES 4

typedef int32x4_t ep_vec;

typedef struct {
    int32x4_t multiplier;
    int32x4_t right; /* how far to the right, as negative numbers */
    int32x4_t left;
    int grows, stays; /* some lane has a factor of 1 or more; some lane is not shifted to the right */
} ep_vec_scale;

static inline ep_vec ep_vec_set1(int32_t value) { return vdupq_n_s32(value); }

static inline ep_vec ep_vec_load_s8(const int8_t *x) { return vldrbq_s32(x); }

static inline ep_vec ep_vec_load_s32(const int32_t *x) { return vldrwq_s32(x); }

static inline ep_vec ep_vec_add(ep_vec a, ep_vec b) { return vaddq_s32(a, b); }

static inline ep_vec ep_vec_sub(ep_vec a, ep_vec b) { return vsubq_s32(a, b); }

static inline ep_vec ep_vec_mul(ep_vec a, ep_vec b) { return vmulq_s32(a, b); }

static inline ep_vec ep_vec_max(ep_vec a, ep_vec b) { return vmaxq_s32(a, b); }

static inline ep_vec ep_vec_min(ep_vec a, ep_vec b) { return vminq_s32(a, b); }

static inline ep_vec ep_vec_shl(ep_vec a, int n) { return vshlq_r_s32(a, n); }

static inline ep_vec_scale ep_vec_scale_of(int32x4_t multiplier, int32x4_t shift)
{
    const int32x4_t none = vdupq_n_s32(0);
    ep_vec_scale s;
    s.multiplier = multiplier;
    s.right = vminq_s32(shift, none);
    s.left = vmaxq_s32(shift, none);
    s.grows = vmaxvq_s32(INT32_MIN, shift) > 0;
    s.stays = vmaxvq_s32(INT32_MIN, shift) >= 0;
    return s;
}

static inline ep_vec_scale ep_vec_scale_set1(int32_t multiplier, int32_t shift)
{
    return ep_vec_scale_of(vdupq_n_s32(multiplier), vdupq_n_s32(shift));
}

static inline ep_vec_scale ep_vec_scale_load(const int32_t *multiplier, const int32_t *shift)
{
    return ep_vec_scale_of(ep_vec_load_s32(multiplier), ep_vec_load_s32(shift));
}

/* acc << left within +-2^30 in lanes that grow; the others as they are. */
static inline ep_vec ep_vec_grow(ep_vec acc, const ep_vec_scale *s)
{
    const int32x4_t most = vdupq_n_s32(INT32_C(1) << 30), least = vdupq_n_s32(-(INT32_C(1) << 30));
    const int32x4_t shifted = vmaxq_s32(vminq_s32(vqshlq_s32(acc, s->left), most), least);
    return vpselq_s32(shifted, acc, vcmpgtq_n_s32(s->left, 0));
}

/* The rounding shift rounds half up: negative numbers are lowered by one before it, but not where nothing is shifted
 * out; then half goes away from zero. */
static inline ep_vec ep_vec_rescale(ep_vec acc, const ep_vec_scale *s)
{
    int32x4_t high, sign;
    if (s->grows) acc = ep_vec_grow(acc, s);
    high = vqrdmulhq_s32(acc, s->multiplier);
    sign = s->stays ? vandq_s32(high, s->right) : high;
    return vrshlq_s32(vaddq_s32(high, vshrq_n_s32(sign, 31)), s->right);
}

static inline void ep_vec_store_s8(int8_t *to, ep_vec value, int32_t zero, int32_t low, int32_t high)
{
    value = vmaxq_s32(vaddq_n_s32(value, zero), vdupq_n_s32(low));
    vstrbq_s32(to, vminq_s32(value, vdupq_n_s32(high)));
}

#endif
