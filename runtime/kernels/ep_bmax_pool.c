#include "ep_bmax_pool.h"

/* One output pixel from the taps [from, to) of both axes. */
static void pixel(const ep_window *w, const int32_t *x, int32_t top, int32_t left, int32_t *EP_RESTRICT y)
{
    const int32_t words = w->channels;
    int32_t from_h, to_h, from_w, to_w;
    ep_taps(top, w->in_h, w->kernel_h, w->dilation_h, &from_h, &to_h);
    ep_taps(left, w->in_w, w->kernel_w, w->dilation_w, &from_w, &to_w);
    for (int32_t n = 0; n < words; n++) y[n] = -1;
    for (int32_t i = from_h; i < to_h; i++)
        for (int32_t j = from_w; j < to_w; j++) {
            const ptrdiff_t at = (ptrdiff_t)(top + i * w->dilation_h) * w->in_w + left + j * w->dilation_w;
            const int32_t *EP_RESTRICT source = x + at * words;
            for (int32_t n = 0; n < words; n++) y[n] &= source[n];
        }
}

void ep_bmax_pool(const ep_bmax_pool_args *args, const int32_t *x, int32_t *y)
{
    const ep_window *w = &args->window;
    for (int32_t b = 0; b < w->batch; b++) {
        for (int32_t i = 0; i < w->out_h; i++)
            for (int32_t j = 0; j < w->out_w; j++) {
                pixel(w, x, i * w->stride_h - w->pad_h, j * w->stride_w - w->pad_w, y);
                y += w->channels;
            }
        x += (ptrdiff_t)w->in_h * w->in_w * w->channels;
    }
}
