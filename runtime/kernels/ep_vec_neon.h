/* ep_vec.h with NEON: eight lanes in two registers. */
#ifndef EP_VEC_NEON_H
#define EP_VEC_NEON_H

#include <arm_neon.h>

#include "ep_requant.h"

#define EP_VEC_LANES 8

typedef struct {
    int32x4_t a, b;
} ep_vec;

typedef struct {
    ep_vec multiplier, left;
    ep_vec right;      /* how far to the right, as negative numbers */
    int grows, stays;  /* some lane has a factor of 1 or more; some lane is not shifted to the right */
} ep_vec_scale;

static inline ep_vec ep_vec_of(int32x4_t a, int32x4_t b)
{
    ep_vec v;
    v.a = a;
    v.b = b;
    return v;
}

static inline ep_vec ep_vec_set1(int32_t value) { return ep_vec_of(vdupq_n_s32(value), vdupq_n_s32(value)); }

static inline ep_vec ep_vec_load_s8(const int8_t *x)
{
    const int16x8_t half = vmovl_s8(vld1_s8(x));
    return ep_vec_of(vmovl_s16(vget_low_s16(half)), vmovl_high_s16(half));
}

static inline ep_vec ep_vec_load_s32(const int32_t *x) { return ep_vec_of(vld1q_s32(x), vld1q_s32(x + 4)); }

static inline ep_vec ep_vec_add(ep_vec x, ep_vec y) { return ep_vec_of(vaddq_s32(x.a, y.a), vaddq_s32(x.b, y.b)); }

static inline ep_vec ep_vec_sub(ep_vec x, ep_vec y) { return ep_vec_of(vsubq_s32(x.a, y.a), vsubq_s32(x.b, y.b)); }

static inline ep_vec ep_vec_mul(ep_vec x, ep_vec y) { return ep_vec_of(vmulq_s32(x.a, y.a), vmulq_s32(x.b, y.b)); }

static inline ep_vec ep_vec_max(ep_vec x, ep_vec y) { return ep_vec_of(vmaxq_s32(x.a, y.a), vmaxq_s32(x.b, y.b)); }

static inline ep_vec ep_vec_min(ep_vec x, ep_vec y) { return ep_vec_of(vminq_s32(x.a, y.a), vminq_s32(x.b, y.b)); }

static inline ep_vec ep_vec_shl(ep_vec x, int n)
{
    const int32x4_t by = vdupq_n_s32(n);
    return ep_vec_of(vshlq_s32(x.a, by), vshlq_s32(x.b, by));
}

static inline ep_vec_scale ep_vec_scale_of(ep_vec multiplier, ep_vec shift)
{
    const ep_vec none = ep_vec_set1(0);
    const int32_t most = vmaxvq_s32(vmaxq_s32(shift.a, shift.b));
    ep_vec_scale s;
    s.multiplier = multiplier;
    s.right = ep_vec_min(shift, none);
    s.left = ep_vec_max(shift, none);
    s.grows = most > 0;
    s.stays = most >= 0;
    return s;
}

static inline ep_vec_scale ep_vec_scale_set1(int32_t multiplier, int32_t shift)
{
    return ep_vec_scale_of(ep_vec_set1(multiplier), ep_vec_set1(shift));
}

static inline ep_vec_scale ep_vec_scale_load(const int32_t *multiplier, const int32_t *shift)
{
    return ep_vec_scale_of(ep_vec_load_s32(multiplier), ep_vec_load_s32(shift));
}

/* acc << left within +-2^30 in lanes that grow; the others as they are. */
static inline int32x4_t ep_vec_grow(int32x4_t acc, int32x4_t left)
{
    const int32x4_t most = vdupq_n_s32(INT32_C(1) << 30), least = vdupq_n_s32(-(INT32_C(1) << 30));
    const int32x4_t shifted = vmaxq_s32(vminq_s32(vqshlq_s32(acc, left), most), least);
    return vbslq_s32(vcgtq_s32(left, vdupq_n_s32(0)), shifted, acc);
}

/* The rounding shift rounds half up: negative numbers are lowered by one before it, but not where nothing is shifted
 * out; then half goes away from zero. */
static inline int32x4_t ep_vec_shift(int32x4_t high, int32x4_t right, int stays)
{
    const int32x4_t sign = stays ? vandq_s32(high, right) : high;
    return vrshlq_s32(vsraq_n_s32(high, sign, 31), right);
}

static inline ep_vec ep_vec_rescale(ep_vec acc, const ep_vec_scale *s)
{
    if (s->grows) acc = ep_vec_of(ep_vec_grow(acc.a, s->left.a), ep_vec_grow(acc.b, s->left.b));
    return ep_vec_of(ep_vec_shift(vqrdmulhq_s32(acc.a, s->multiplier.a), s->right.a, s->stays),
                     ep_vec_shift(vqrdmulhq_s32(acc.b, s->multiplier.b), s->right.b, s->stays));
}

static inline void ep_vec_store_s8(int8_t *to, ep_vec value, int32_t zero, int32_t low, int32_t high)
{
    const int16x8_t half = vqmovn_high_s32(vqmovn_s32(value.a), value.b);
    const int8x8_t all = vqmovn_s16(vqaddq_s16(half, vdupq_n_s16((int16_t)zero)));
    vst1_s8(to, vmin_s8(vmax_s8(all, vdup_n_s8((int8_t)low)), vdup_n_s8((int8_t)high)));
}

#endif
