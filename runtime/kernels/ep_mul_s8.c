#include "ep_mul_s8.h"

#include "ep_vec.h"

static inline int8_t product(const ep_mul_s8_args *args, int8_t a, int8_t b)
{
    const int32_t acc = (a - args->zero_a) * (b - args->zero_b);
    const int32_t y = ep_rescale(acc, args->scale.multiplier, args->scale.shift);
    return ep_clamp_s8(args->zero + y, args->low, args->high);
}

#if defined(EP_VEC_LANES)

/* Whole vectors of neighbours; gives how many elements that are. A step of 0 is one value for all of them. */
static int32_t many(const ep_mul_s8_args *args, const int8_t *a, int32_t step_a, const int8_t *b, int32_t step_b,
                    int32_t count, int8_t *y)
{
    const ep_vec_scale scale = ep_vec_scale_set1(args->scale.multiplier, args->scale.shift);
    const ep_vec zero_a = ep_vec_set1(args->zero_a), zero_b = ep_vec_set1(args->zero_b);
    ep_vec left = ep_vec_sub(ep_vec_set1(a[0]), zero_a), right = ep_vec_sub(ep_vec_set1(b[0]), zero_b);
    int32_t i = 0;
    for (; i + EP_VEC_LANES <= count; i += EP_VEC_LANES) {
        if (step_a) left = ep_vec_sub(ep_vec_load_s8(a + i), zero_a);
        if (step_b) right = ep_vec_sub(ep_vec_load_s8(b + i), zero_b);
        ep_vec_store_s8(y + i, ep_vec_rescale(ep_vec_mul(left, right), &scale), args->zero, args->low, args->high);
    }
    return i;
}

#endif

void ep_mul_s8(const ep_mul_s8_args *args, const int8_t *a, const int8_t *b, int8_t *y)
{
    const ep_strides *s = &args->strides;
    const int32_t last = EP_RANK - 1, count = s->length[last], step_a = s->step[0][last], step_b = s->step[1][last];
    ep_walk walk = ep_walk_begin();
    do {
        const int8_t *pa = a + walk.offset[0], *pb = b + walk.offset[1];
        int8_t *py = y + walk.offset[3];
        int32_t i = 0;
#if defined(EP_VEC_LANES)
        if ((step_a == 1 || step_a == 0) && (step_b == 1 || step_b == 0) && count >= EP_VEC_LANES)
            i = many(args, pa, step_a, pb, step_b, count, py);
#endif
        for (; i < count; i++) py[i] = product(args, pa[i * step_a], pb[i * step_b]);
    } while (ep_walk_next(s, &walk));
}
