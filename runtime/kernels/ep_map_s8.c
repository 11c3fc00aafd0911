#include "ep_map_s8.h"

void ep_table_s8(const ep_table_s8_args *args, const int8_t *x, int8_t *y)
{
    const int8_t *table = args->table + 128;
    for (int32_t i = 0; i < args->count; i++) y[i] = table[x[i]];
}

void ep_rescale_s8(const ep_rescale_s8_args *args, const int8_t *x, int8_t *y)
{
    for (int32_t i = 0; i < args->count; i++) {
        const int32_t value = ep_rescale(x[i] - args->in_zero, args->scale.multiplier, args->scale.shift);
        y[i] = ep_clamp_s8(args->zero + value, args->low, args->high);
    }
}
