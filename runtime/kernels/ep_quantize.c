#include "ep_quantize.h"

/* Half to even without the mode of the floating-point unit: |value| is below 2^22. */
static int32_t round_half_even(float value)
{
    int32_t whole = (int32_t)value;
    const float rest = value - (float)whole;
    if (rest > 0.5f || (rest == 0.5f && (whole & 1))) whole++;
    if (rest < -0.5f || (rest == -0.5f && (whole & 1))) whole--;
    return whole;
}

void ep_quantize_s8(const ep_quantize_args *args, const float *x, int8_t *y)
{
    for (int32_t i = 0; i < args->count; i++) {
        float steps = x[i] / args->scale;
        int32_t value;
        steps = steps < -1024.0f ? -1024.0f : steps;
        steps = steps > 1024.0f ? 1024.0f : steps;
        value = steps == steps ? round_half_even(steps) + args->zero : args->zero;
        value = value < -128 ? -128 : value;
        y[i] = (int8_t)(value > 127 ? 127 : value);
    }
}

void ep_dequantize_s8(const ep_quantize_args *args, const int8_t *x, float *y)
{
    for (int32_t i = 0; i < args->count; i++) y[i] = (float)(x[i] - args->zero) * args->scale;
}
