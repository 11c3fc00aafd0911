#include "ep_matmul.h"

void ep_matmul_f32(const ep_matmul_f32_args *args, const float *a, const float *b, float *y)
{
    ep_walk walk = ep_walk_begin();
    do {
        for (int32_t n = 0; n < args->n; n++)
            for (int32_t m = 0; m < args->m; m++) {
                const float *pa = a + walk.offset[0] + (ptrdiff_t)n * args->step_an;
                const float *pb = b + walk.offset[1] + (ptrdiff_t)m * args->step_bm;
                float acc = 0.0f;
                for (int32_t k = 0; k < args->depth; k++) acc += pa[k * args->step_ak] * pb[k * args->step_bk];
                y[walk.offset[3] + (ptrdiff_t)n * args->m + m] = acc;
            }
    } while (ep_walk_next(&args->strides, &walk));
}

static int8_t product(const ep_matmul_s8_args *args, const int8_t *a, const int8_t *b)
{
    int32_t acc = 0;
    for (int32_t k = 0; k < args->depth; k++)
        acc += (a[k * args->step_ak] - args->zero_a) * (b[k * args->step_bk] - args->zero_b);
    return ep_clamp_s8(args->zero + ep_rescale(acc, args->scale.multiplier, args->scale.shift), -128, 127);
}

void ep_matmul_s8(const ep_matmul_s8_args *args, const int8_t *a, const int8_t *b, int8_t *y)
{
    ep_walk walk = ep_walk_begin();
    do {
        for (int32_t n = 0; n < args->n; n++)
            for (int32_t m = 0; m < args->m; m++) {
                const int8_t *pa = a + walk.offset[0] + (ptrdiff_t)n * args->step_an;
                const int8_t *pb = b + walk.offset[1] + (ptrdiff_t)m * args->step_bm;
                y[walk.offset[3] + (ptrdiff_t)n * args->m + m] = product(args, pa, pb);
            }
    } while (ep_walk_next(&args->strides, &walk));
}
