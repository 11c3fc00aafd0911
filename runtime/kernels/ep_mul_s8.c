#include "ep_mul_s8.h"

static inline int8_t product(const ep_mul_s8_args *args, int8_t a, int8_t b)
{
    const int32_t acc = (a - args->zero_a) * (b - args->zero_b);
    const int32_t y = ep_rescale(acc, args->scale.multiplier, args->scale.shift);
    return ep_clamp_s8(args->zero + y, args->low, args->high);
}

void ep_mul_s8(const ep_mul_s8_args *args, const int8_t *a, const int8_t *b, int8_t *y)
{
    const ep_strides *s = &args->strides;
    const int32_t last = EP_RANK - 1, count = s->length[last], step_a = s->step[0][last], step_b = s->step[1][last];
    ep_walk walk = ep_walk_begin();
    do {
        const int8_t *pa = a + walk.offset[0], *pb = b + walk.offset[1];
        int8_t *py = y + walk.offset[3];
        for (int32_t i = 0; i < count; i++) py[i] = product(args, pa[i * step_a], pb[i * step_b]);
    } while (ep_walk_next(s, &walk));
}
