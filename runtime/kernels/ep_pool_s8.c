#include "ep_pool_s8.h"

#include "ep_requant.h"

#define WIDTH 32 /* channels held at once */

typedef struct {
    int32_t top, left, from_h, to_h, from_w, to_w;
} region;

static region region_of(const ep_window *w, int32_t i, int32_t j)
{
    region r;
    r.top = i * w->stride_h - w->pad_h;
    r.left = j * w->stride_w - w->pad_w;
    ep_taps(r.top, w->in_h, w->kernel_h, w->dilation_h, &r.from_h, &r.to_h);
    ep_taps(r.left, w->in_w, w->kernel_w, w->dilation_w, &r.from_w, &r.to_w);
    return r;
}

static const int8_t *at(const ep_window *w, const int8_t *x, const region *r, int32_t i, int32_t j)
{
    const int32_t line = r->top + i * w->dilation_h, column = r->left + j * w->dilation_w;
    return x + ((ptrdiff_t)line * w->in_w + column) * w->channels;
}

static void largest(const ep_pool_s8_args *args, const int8_t *x, const region *r, int8_t *EP_RESTRICT y)
{
    const ep_window *w = &args->window;
    for (int32_t n = 0; n < w->channels; n++) y[n] = (int8_t)args->low;
    for (int32_t i = r->from_h; i < r->to_h; i++)
        for (int32_t j = r->from_w; j < r->to_w; j++) {
            const int8_t *EP_RESTRICT pixel = at(w, x, r, i, j);
            for (int32_t n = 0; n < w->channels; n++) y[n] = pixel[n] > y[n] ? pixel[n] : y[n];
        }
    for (int32_t n = 0; n < w->channels; n++) y[n] = y[n] > args->high ? (int8_t)args->high : y[n];
}

void ep_max_pool_s8(const ep_pool_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_window *w = &args->window;
    for (int32_t b = 0; b < w->batch; b++) {
        for (int32_t i = 0; i < w->out_h; i++)
            for (int32_t j = 0; j < w->out_w; j++) {
                const region r = region_of(w, i, j);
                largest(args, x, &r, y);
                y += w->channels;
            }
        x += (ptrdiff_t)w->in_h * w->in_w * w->channels;
    }
}

static int32_t divide_half_away(int32_t total, int32_t count)
{
    if (count == 0) return 0;
    return total > 0 ? (total + count / 2) / count : -((-total + count / 2) / count);
}

static void average(const ep_average_pool_s8_args *args, const int8_t *x, const region *r, int8_t *EP_RESTRICT y)
{
    const ep_window *w = &args->window;
    const int32_t count = (r->to_h - r->from_h) * (r->to_w - r->from_w);
    for (int32_t first = 0; first < w->channels; first += WIDTH) {
        const int32_t width = w->channels - first < WIDTH ? w->channels - first : WIDTH;
        int32_t acc[WIDTH] = {0};
        for (int32_t i = r->from_h; i < r->to_h; i++)
            for (int32_t j = r->from_w; j < r->to_w; j++) {
                const int8_t *pixel = at(w, x, r, i, j) + first;
                for (int32_t n = 0; n < width; n++) acc[n] += pixel[n];
            }
        for (int32_t n = 0; n < width; n++) {
            const int32_t mean = divide_half_away(acc[n] - count * args->zero, count);
            y[first + n] = ep_clamp_s8(args->zero + mean, args->low, args->high);
        }
    }
}

void ep_average_pool_s8(const ep_average_pool_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_window *w = &args->window;
    for (int32_t b = 0; b < w->batch; b++) {
        for (int32_t i = 0; i < w->out_h; i++)
            for (int32_t j = 0; j < w->out_w; j++) {
                const region r = region_of(w, i, j);
                average(args, x, &r, y);
                y += w->channels;
            }
        x += (ptrdiff_t)w->in_h * w->in_w * w->channels;
    }
}
