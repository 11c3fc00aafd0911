#include "ep_unary_f32.h"

#include <math.h>

#define UNARY(name, expression)                            \
    EP_UNARY_DECLARED(name)                                \
    {                                                      \
        for (int32_t i = 0; i < args->count; i++) {        \
            const float v = x[i];                          \
            y[i] = (expression);                           \
        }                                                  \
    }

static inline float between(float value, float low, float high)
{
    value = value < low ? low : value;
    return value > high ? high : value;
}

/* Half to even, whatever the mode of the floating-point unit. */
static float half_even(float value)
{
    const float below = floorf(value), rest = value - below;
    if (rest != 0.5f) return rest < 0.5f ? below : below + 1.0f;
    return fmodf(below, 2.0f) == 0.0f ? below : below + 1.0f;
}

static float gelu_tanh(float v)
{
    return 0.5f * v * (1.0f + tanhf(0.79788456f * (v + 0.044715f * v * v * v)));
}

UNARY(ep_clamp_f32, between(v, args->low, args->high))
UNARY(ep_logistic_f32, 1.0f / (1.0f + expf(-v)))
UNARY(ep_tanh_f32, tanhf(v))
UNARY(ep_hard_swish_f32, v *between(v + 3.0f, 0.0f, 6.0f) / 6.0f)
UNARY(ep_leaky_relu_f32, v >= 0.0f ? v : v *args->alpha)
UNARY(ep_gelu_f32, 0.5f * v * erfcf(-v * 0.70710678f))
UNARY(ep_gelu_tanh_f32, gelu_tanh(v))
UNARY(ep_elu_f32, v >= 0.0f ? v : expm1f(v))
UNARY(ep_abs_f32, fabsf(v))
UNARY(ep_neg_f32, -v)
UNARY(ep_exp_f32, expf(v))
UNARY(ep_log_f32, logf(v))
UNARY(ep_sqrt_f32, sqrtf(v))
UNARY(ep_rsqrt_f32, 1.0f / sqrtf(v))
UNARY(ep_sin_f32, sinf(v))
UNARY(ep_cos_f32, cosf(v))
UNARY(ep_floor_f32, floorf(v))
UNARY(ep_ceil_f32, ceilf(v))
UNARY(ep_round_f32, half_even(v))
UNARY(ep_sign_f32, (float)((v > 0.0f) - (v < 0.0f)))
