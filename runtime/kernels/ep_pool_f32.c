#include "ep_pool_f32.h"

#include <float.h>

static void pool(const ep_pool_f32_args *args, const float *x, int32_t top, int32_t left, int average,
                 float *EP_RESTRICT y)
{
    const ep_window *w = &args->window;
    int32_t from_h, to_h, from_w, to_w;
    ep_taps(top, w->in_h, w->kernel_h, w->dilation_h, &from_h, &to_h);
    ep_taps(left, w->in_w, w->kernel_w, w->dilation_w, &from_w, &to_w);
    for (int32_t n = 0; n < w->channels; n++) y[n] = average ? 0.0f : -FLT_MAX;
    for (int32_t i = from_h; i < to_h; i++)
        for (int32_t j = from_w; j < to_w; j++) {
            const int32_t line = top + i * w->dilation_h, column = left + j * w->dilation_w;
            const float *EP_RESTRICT pixel = x + ((ptrdiff_t)line * w->in_w + column) * w->channels;
            if (average)
                for (int32_t n = 0; n < w->channels; n++) y[n] += pixel[n];
            else
                for (int32_t n = 0; n < w->channels; n++) y[n] = pixel[n] > y[n] ? pixel[n] : y[n];
        }
    const int32_t count = (to_h - from_h) * (to_w - from_w);
    for (int32_t n = 0; n < w->channels; n++) {
        float value = average && count > 0 ? y[n] / (float)count : y[n];
        value = value < args->low ? args->low : value;
        y[n] = value > args->high ? args->high : value;
    }
}

static void pools(const ep_pool_f32_args *args, const float *x, int average, float *y)
{
    const ep_window *w = &args->window;
    for (int32_t b = 0; b < w->batch; b++) {
        for (int32_t i = 0; i < w->out_h; i++)
            for (int32_t j = 0; j < w->out_w; j++) {
                pool(args, x, i * w->stride_h - w->pad_h, j * w->stride_w - w->pad_w, average, y);
                y += w->channels;
            }
        x += (ptrdiff_t)w->in_h * w->in_w * w->channels;
    }
}

void ep_max_pool_f32(const ep_pool_f32_args *args, const float *x, float *y) { pools(args, x, 0, y); }

void ep_average_pool_f32(const ep_pool_f32_args *args, const float *x, float *y) { pools(args, x, 1, y); }
