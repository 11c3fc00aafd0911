#include "ep_prelu_s8.h"

#include "ep_binary_loop.h"

static int8_t prelu(const ep_prelu_s8_args *args, int32_t x, int32_t slope)
{
    const int32_t acc = x >= 0 ? x : x * slope;
    const ep_scale scale = x >= 0 ? args->scale : args->scale_below;
    return ep_clamp_s8(args->zero + ep_rescale(acc, scale.multiplier, scale.shift), -128, 127);
}

EP_BINARY(ep_prelu_s8, ep_prelu_s8_args, int8_t, int8_t, prelu(args, a - args->zero_x, b - args->zero_slope))
