#include "ep_depthwise_f32.h"

static inline float clamp(const ep_depthwise_f32_args *args, float value)
{
    value = value < args->low ? args->low : value;
    return value > args->high ? args->high : value;
}

static void tap(const ep_depthwise_f32_args *args, const float *EP_RESTRICT x, const float *EP_RESTRICT weights,
                float *EP_RESTRICT y)
{
    const int32_t outputs = args->window.channels * args->multiples;
    if (args->multiples == 1)
        for (int32_t n = 0; n < outputs; n++) y[n] += x[n] * weights[n];
    else
        for (int32_t n = 0; n < outputs; n++) y[n] += x[n / args->multiples] * weights[n];
}

static void pixel(const ep_depthwise_f32_args *args, const float *x, int32_t top, int32_t left, float *y)
{
    const ep_window *w = &args->window;
    const int32_t outputs = w->channels * args->multiples;
    int32_t from_h, to_h, from_w, to_w;
    ep_taps(top, w->in_h, w->kernel_h, w->dilation_h, &from_h, &to_h);
    ep_taps(left, w->in_w, w->kernel_w, w->dilation_w, &from_w, &to_w);
    for (int32_t n = 0; n < outputs; n++) y[n] = args->bias[n];
    for (int32_t i = from_h; i < to_h; i++)
        for (int32_t j = from_w; j < to_w; j++) {
            const int32_t line = top + i * w->dilation_h, column = left + j * w->dilation_w;
            tap(args, x + ((ptrdiff_t)line * w->in_w + column) * w->channels,
                args->weights + (ptrdiff_t)(i * w->kernel_w + j) * outputs, y);
        }
    for (int32_t n = 0; n < outputs; n++) y[n] = clamp(args, y[n]);
}

void ep_depthwise_f32(const ep_depthwise_f32_args *args, const float *x, float *y)
{
    const ep_window *w = &args->window;
    for (int32_t b = 0; b < w->batch; b++) {
        for (int32_t i = 0; i < w->out_h; i++)
            for (int32_t j = 0; j < w->out_w; j++) {
                pixel(args, x, i * w->stride_h - w->pad_h, j * w->stride_w - w->pad_w, y);
                y += w->channels * args->multiples;
            }
        x += (ptrdiff_t)w->in_h * w->in_w * w->channels;
    }
}
