#include "ep_bfinish.h"

static inline int32_t clamped(const ep_bconv2d_args *args, int32_t sum)
{
    sum = sum < args->low ? args->low : sum;
    return sum > args->high ? args->high : sum;
}

void ep_bfinish_bits(const ep_bconv2d_args *args, int32_t products, const int32_t *differing, int32_t first,
                     int32_t count, void *y)
{
    const int32_t *threshold = args->threshold + first;
    uint32_t word = 0;
    for (int32_t n = 0; n < count; n++) word |= (uint32_t)(products - 2 * differing[n] < threshold[n]) << n;
    ((int32_t *)y)[first / EP_BITS_GROUP] = (int32_t)word;
}

void ep_bfinish_f32(const ep_bconv2d_args *args, int32_t products, const int32_t *differing, int32_t first,
                    int32_t count, void *y)
{
    const float *multiplier = args->multiplier + first, *bias = args->bias + first;
    float *EP_RESTRICT to = (float *)y + first;
    for (int32_t n = 0; n < count; n++)
        to[n] = (float)clamped(args, products - 2 * differing[n]) * multiplier[n] + bias[n];
}

/* Half away from zero, by adding half in float. */
static inline int8_t rounded(float steps, int32_t zero)
{
    int32_t value;
    steps = steps > -1024.0f ? steps : -1024.0f;
    steps = steps < 1024.0f ? steps : 1024.0f;
    value = (int32_t)(steps < 0.0f ? steps - 0.5f : steps + 0.5f) + zero;
    value = value < -128 ? -128 : value;
    return (int8_t)(value > 127 ? 127 : value);
}

void ep_bfinish_s8(const ep_bconv2d_args *args, int32_t products, const int32_t *differing, int32_t first,
                   int32_t count, void *y)
{
    const float *multiplier = args->multiplier + first, *bias = args->bias + first;
    int8_t *EP_RESTRICT to = (int8_t *)y + first;
    for (int32_t n = 0; n < count; n++) {
        const float value = (float)clamped(args, products - 2 * differing[n]) * multiplier[n] + bias[n];
        to[n] = rounded(value / args->scale, args->zero);
    }
}
