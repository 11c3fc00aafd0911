#include "ep_binary_f32.h"

#include <math.h>

#include "ep_binary_loop.h"

static inline float clamp(const ep_binary_f32_args *args, float value)
{
    value = value < args->low ? args->low : value;
    return value > args->high ? args->high : value;
}

EP_BINARY(ep_add_f32, ep_binary_f32_args, float, float, clamp(args, a + b))
EP_BINARY(ep_sub_f32, ep_binary_f32_args, float, float, clamp(args, a - b))
EP_BINARY(ep_mul_f32, ep_binary_f32_args, float, float, clamp(args, a *b))
EP_BINARY(ep_div_f32, ep_binary_f32_args, float, float, clamp(args, a / b))
EP_BINARY(ep_maximum_f32, ep_binary_f32_args, float, float, a > b ? a : b)
EP_BINARY(ep_minimum_f32, ep_binary_f32_args, float, float, a < b ? a : b)
EP_BINARY(ep_squared_difference_f32, ep_binary_f32_args, float, float, (a - b) * (a - b))
EP_BINARY(ep_prelu_f32, ep_binary_f32_args, float, float, a >= 0.0f ? a : a *b)
EP_BINARY(ep_pow_f32, ep_binary_f32_args, float, float, powf(a, b))
