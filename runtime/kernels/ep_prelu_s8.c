#include "ep_prelu_s8.h"

#include "ep_vec.h"

static inline int8_t prelu(const ep_prelu_s8_args *args, int32_t x, int32_t slope)
{
    const int32_t acc = x >= 0 ? x : x * slope;
    const ep_scale scale = x >= 0 ? args->scale : args->scale_below;
    return ep_clamp_s8(args->zero + ep_rescale(acc, scale.multiplier, scale.shift), -128, 127);
}

#if defined(EP_VEC_LANES)

/* Whole vectors of neighbours; gives how many elements that are. Of the two sides one is 0, and stays it. */
static int32_t many(const ep_prelu_s8_args *args, const int8_t *x, const int8_t *slope, int32_t step, int32_t count,
                    int8_t *y)
{
    const ep_vec_scale above = ep_vec_scale_set1(args->scale.multiplier, args->scale.shift);
    const ep_vec_scale below = ep_vec_scale_set1(args->scale_below.multiplier, args->scale_below.shift);
    const ep_vec zero_x = ep_vec_set1(args->zero_x), zero_slope = ep_vec_set1(args->zero_slope), none = ep_vec_set1(0);
    ep_vec factor = ep_vec_sub(ep_vec_set1(slope[0]), zero_slope);
    int32_t i = 0;
    for (; i + EP_VEC_LANES <= count; i += EP_VEC_LANES) {
        const ep_vec value = ep_vec_sub(ep_vec_load_s8(x + i), zero_x);
        if (step) factor = ep_vec_sub(ep_vec_load_s8(slope + i), zero_slope);
        ep_vec_store_s8(y + i,
                        ep_vec_add(ep_vec_rescale(ep_vec_max(value, none), &above),
                                   ep_vec_rescale(ep_vec_mul(ep_vec_min(value, none), factor), &below)),
                        args->zero, -128, 127);
    }
    return i;
}

#endif

void ep_prelu_s8(const ep_prelu_s8_args *args, const int8_t *x, const int8_t *slope, int8_t *y)
{
    const ep_strides *s = &args->strides;
    const int32_t last = EP_RANK - 1, count = s->length[last], step_x = s->step[0][last], step_s = s->step[1][last];
    ep_walk walk = ep_walk_begin();
    do {
        const int8_t *px = x + walk.offset[0], *ps = slope + walk.offset[1];
        int8_t *py = y + walk.offset[3];
        int32_t i = 0;
#if defined(EP_VEC_LANES)
        if (step_x == 1 && (step_s == 1 || step_s == 0) && count >= EP_VEC_LANES)
            i = many(args, px, ps, step_s, count, py);
#endif
        for (; i < count; i++) py[i] = prelu(args, px[i * step_x] - args->zero_x, ps[i * step_s] - args->zero_slope);
    } while (ep_walk_next(s, &walk));
}
