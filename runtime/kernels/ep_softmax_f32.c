#include "ep_softmax_f32.h"

#include <math.h>

static float largest(const float *x, int32_t count)
{
    float found = x[0];
    for (int32_t i = 1; i < count; i++) found = x[i] > found ? x[i] : found;
    return found;
}

void ep_softmax_f32(const ep_softmax_f32_args *args, const float *x, float *y)
{
    for (int32_t r = 0; r < args->rows; r++, x += args->count, y += args->count) {
        const float top = largest(x, args->count);
        float sum = 0.0f;
        for (int32_t i = 0; i < args->count; i++) {
            y[i] = expf((x[i] - top) * args->beta);
            sum += y[i];
        }
        for (int32_t i = 0; i < args->count; i++) y[i] /= sum;
    }
}

void ep_log_softmax_f32(const ep_softmax_f32_args *args, const float *x, float *y)
{
    for (int32_t r = 0; r < args->rows; r++, x += args->count, y += args->count) {
        const float top = largest(x, args->count);
        float sum = 0.0f;
        for (int32_t i = 0; i < args->count; i++) sum += expf(x[i] - top);
        sum = logf(sum);
        for (int32_t i = 0; i < args->count; i++) y[i] = x[i] - top - sum;
    }
}
