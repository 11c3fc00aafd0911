#include "ep_add_s8.h"

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

void ep_add_s8(const ep_add_s8_args *args, const int8_t *a, const int8_t *b, int8_t *y)
{
    const ep_strides *s = &args->strides;
    const int32_t last = EP_RANK - 1, count = s->length[last], step_a = s->step[0][last], step_b = s->step[1][last];
    ep_walk walk = ep_walk_begin();
    do {
        const int8_t *pa = a + walk.offset[0], *pb = b + walk.offset[1];
        int8_t *py = y + walk.offset[3];
        if (step_a == 1 && step_b == 1)
            for (int32_t i = 0; i < count; i++) py[i] = sum(args, pa[i], pb[i]);
        else
            for (int32_t i = 0; i < count; i++) py[i] = sum(args, pa[i * step_a], pb[i * step_b]);
    } while (ep_walk_next(s, &walk));
}
