#include "ep_add_s8.h"

#include "ep_vec.h"

#if defined(EP_TARGET_MVE)
#include "ep_add_mve.h"
#elif defined(EP_TARGET_NEON)
#include "ep_add_neon.h"
#elif defined(EP_TARGET_AVX512VNNI)
#include "ep_add_avx512.h"
#endif

static inline int32_t side(int32_t value, int32_t zero, ep_scale scale)
{
    return ep_rounding_shift(ep_high_product((value - zero) * (1 << 20), scale.multiplier), -scale.shift);
}

static inline int8_t sum(const ep_add_s8_args *args, int8_t a, int8_t b)
{
    const int32_t left = side(a, args->zero_a, args->scale_a), right = side(b, args->zero_b, args->scale_b);
    const int32_t y = ep_rescale(left + args->sign * right, args->scale_y.multiplier, args->scale_y.shift);
    return ep_clamp_s8(args->zero + y, args->low, args->high);
}

#if defined(EP_VEC_LANES)

static inline ep_vec_scale scale_of(ep_scale scale) { return ep_vec_scale_set1(scale.multiplier, scale.shift); }

/* A factor of exactly 1/2, which the side of the larger scale has, is a shift by one less. */
static inline int is_half(ep_scale scale) { return scale.multiplier == 1 << 30 && scale.shift == 0; }

static inline ep_vec side_of(ep_vec value, ep_vec zero, const ep_vec_scale *scale, int half)
{
    const ep_vec steps = ep_vec_sub(value, zero);
    return half ? ep_vec_shl(steps, 19) : ep_vec_rescale(ep_vec_shl(steps, 20), scale);
}

/* Whole vectors of neighbours; gives how many elements that are. One value of `b` for all of them where step_b is 0. */
static int32_t many(const ep_add_s8_args *args, const int8_t *a, const int8_t *b, int32_t step_b, int32_t count,
                    int8_t *y)
{
    const ep_vec_scale scale_a = scale_of(args->scale_a), scale_b = scale_of(args->scale_b);
    const ep_vec_scale scale_y = scale_of(args->scale_y);
    const ep_vec zero_a = ep_vec_set1(args->zero_a), zero_b = ep_vec_set1(args->zero_b);
    const int half_a = is_half(args->scale_a), half_b = is_half(args->scale_b);
    ep_vec right = side_of(ep_vec_set1(b[0]), zero_b, &scale_b, half_b);
    int32_t i = 0;
    for (; i + EP_VEC_LANES <= count; i += EP_VEC_LANES) {
        const ep_vec left = side_of(ep_vec_load_s8(a + i), zero_a, &scale_a, half_a);
        if (step_b) right = side_of(ep_vec_load_s8(b + i), zero_b, &scale_b, half_b);
        ep_vec_store_s8(y + i,
                        ep_vec_rescale(args->sign > 0 ? ep_vec_add(left, right) : ep_vec_sub(left, right), &scale_y),
                        args->zero, args->low, args->high);
    }
    return i;
}

#endif

void ep_add_s8(const ep_add_s8_args *args, const int8_t *a, const int8_t *b, int8_t *y)
{
    const ep_strides *s = &args->strides;
    const int32_t last = EP_RANK - 1, count = s->length[last], step_a = s->step[0][last], step_b = s->step[1][last];
    ep_walk walk = ep_walk_begin();
    do {
        const int8_t *pa = a + walk.offset[0], *pb = b + walk.offset[1];
        int8_t *py = y + walk.offset[3];
        int32_t i = 0;
#if defined(EP_TARGET_MVE)
        if (step_a == 1 && step_b == 1 && ep_sums_fit_mve(args)) i = ep_sums_mve(args, pa, pb, count, py);
#elif defined(EP_TARGET_NEON)
        if (step_a == 1 && step_b == 1 && ep_sums_fit_neon(args)) i = ep_sums_neon(args, pa, pb, count, py);
#elif defined(EP_TARGET_AVX512VNNI)
        if (step_a == 1 && step_b == 1 && ep_sums_fit_avx512(args)) i = ep_sums_avx512(args, pa, pb, count, py);
#endif
#if defined(EP_VEC_LANES)
        if (i == 0 && step_a == 1 && (step_b == 1 || step_b == 0) && count >= EP_VEC_LANES)
            i = many(args, pa, pb, step_b, count, py);
#endif
        for (; i < count; i++) py[i] = sum(args, pa[i * step_a], pb[i * step_b]);
    } while (ep_walk_next(s, &walk));
}
