#include "ep_quantize.h"

/* Half to even without the mode of the floating-point unit, without a branch: |value| is below 2^22. */
static inline int32_t round_half_even(float value)
{
    const int32_t whole = (int32_t)value;
    const float rest = value - (float)whole;
    const int32_t odd = whole & 1;
    const int32_t up = (rest > 0.5f) | ((rest == 0.5f) & odd), down = (rest < -0.5f) | ((rest == -0.5f) & odd);
    return whole + up - down;
}

void ep_quantize_s8(const ep_quantize_args *args, const float *x, int8_t *y)
{
    const int32_t zero = args->zero;
    const float scale = args->scale;
    for (int32_t i = 0; i < args->count; i++) {
        float steps = x[i] / scale;
        int32_t value;
        steps = steps == steps ? steps : 0.0f; /* what is no number becomes the zero point */
        steps = steps < -1024.0f ? -1024.0f : steps;
        steps = steps > 1024.0f ? 1024.0f : steps;
        value = round_half_even(steps) + zero;
        value = value < -128 ? -128 : value;
        y[i] = (int8_t)(value > 127 ? 127 : value);
    }
}

void ep_dequantize_s8(const ep_quantize_args *args, const int8_t *x, float *y)
{
    for (int32_t i = 0; i < args->count; i++) y[i] = (float)(x[i] - args->zero) * args->scale;
}
