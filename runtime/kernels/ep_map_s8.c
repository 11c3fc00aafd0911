#include "ep_map_s8.h"

#include "ep_vec.h"

void ep_table_s8(const ep_table_s8_args *args, const int8_t *x, int8_t *y)
{
    const int8_t *table = args->table + 128;
    for (int32_t i = 0; i < args->count; i++) y[i] = table[x[i]];
}

void ep_rescale_s8(const ep_rescale_s8_args *args, const int8_t *x, int8_t *y)
{
    int32_t i = 0;
#if defined(EP_VEC_LANES)
    const ep_vec_scale scale = ep_vec_scale_set1(args->scale.multiplier, args->scale.shift);
    const ep_vec zero = ep_vec_set1(args->in_zero);
    for (; i + EP_VEC_LANES <= args->count; i += EP_VEC_LANES)
        ep_vec_store_s8(y + i, ep_vec_rescale(ep_vec_sub(ep_vec_load_s8(x + i), zero), &scale), args->zero, args->low,
                        args->high);
#endif
    for (; i < args->count; i++) {
        const int32_t value = ep_rescale(x[i] - args->in_zero, args->scale.multiplier, args->scale.shift);
        y[i] = ep_clamp_s8(args->zero + value, args->low, args->high);
    }
}
