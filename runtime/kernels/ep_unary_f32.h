/* Functions of one float. Results may overwrite their input. */
#ifndef EP_UNARY_F32_H
#define EP_UNARY_F32_H

#include "ep_base.h"

/* `alpha` is the slope of a leaky ReLU; `low` and `high` bound a clamp. */
typedef struct {
    int32_t count;
    float alpha, low, high;
} ep_unary_f32_args;

#define EP_UNARY_DECLARED(name) void name(const ep_unary_f32_args *args, const float *x, float *y)

EP_UNARY_DECLARED(ep_clamp_f32);
EP_UNARY_DECLARED(ep_logistic_f32);
EP_UNARY_DECLARED(ep_tanh_f32);
EP_UNARY_DECLARED(ep_hard_swish_f32);
EP_UNARY_DECLARED(ep_leaky_relu_f32);
EP_UNARY_DECLARED(ep_gelu_f32);
EP_UNARY_DECLARED(ep_gelu_tanh_f32);
EP_UNARY_DECLARED(ep_elu_f32);
EP_UNARY_DECLARED(ep_abs_f32);
EP_UNARY_DECLARED(ep_neg_f32);
EP_UNARY_DECLARED(ep_exp_f32);
EP_UNARY_DECLARED(ep_log_f32);
EP_UNARY_DECLARED(ep_sqrt_f32);
EP_UNARY_DECLARED(ep_rsqrt_f32);
EP_UNARY_DECLARED(ep_sin_f32);
EP_UNARY_DECLARED(ep_cos_f32);
EP_UNARY_DECLARED(ep_floor_f32);
EP_UNARY_DECLARED(ep_ceil_f32);
EP_UNARY_DECLARED(ep_round_f32);
EP_UNARY_DECLARED(ep_sign_f32);

#endif
