#include "ep_depthwise_s8.h"

#include "ep_requant.h"

#define WIDTH 64 /* channels whose sums are held at once */

/* Taps of one window that lie inside, and where it begins. */
typedef struct {
    int32_t top, left, from_h, to_h, from_w, to_w;
} region;

static void sums(const ep_depthwise_s8_args *args, const int8_t *EP_RESTRICT x, const region *r, int32_t first,
                 int32_t count, int32_t *EP_RESTRICT acc)
{
    const ep_window *w = &args->window;
    const int32_t outputs = w->channels * args->multiples;
    const int16_t zero = (int16_t)args->in_zero;
    for (int32_t n = 0; n < count; n++) acc[n] = args->bias[first + n];
    for (int32_t i = r->from_h; i < r->to_h; i++)
        for (int32_t j = r->from_w; j < r->to_w; j++) {
            const int32_t line = r->top + i * w->dilation_h, column = r->left + j * w->dilation_w;
            const int8_t *pixel = x + ((ptrdiff_t)line * w->in_w + column) * w->channels;
            const int8_t *weights = args->weights + (ptrdiff_t)(i * w->kernel_w + j) * outputs + first;
            if (args->multiples == 1) {
                for (int32_t n = 0; n < count; n++)
                    acc[n] += (int16_t)((int16_t)(pixel[first + n] - zero) * weights[n]);
            } else {
                for (int32_t n = 0; n < count; n++)
                    acc[n] += (pixel[(first + n) / args->multiples] - zero) * weights[n];
            }
        }
}

static void pixel(const ep_depthwise_s8_args *args, const int8_t *x, const region *r, int8_t *EP_RESTRICT y)
{
    const int32_t outputs = args->window.channels * args->multiples;
    int32_t acc[WIDTH];
    for (int32_t first = 0; first < outputs; first += WIDTH) {
        const int32_t count = outputs - first < WIDTH ? outputs - first : WIDTH;
        sums(args, x, r, first, count, acc);
        for (int32_t n = 0; n < count; n++) {
            int32_t value = ep_rescale(acc[n], args->multiplier[first + n], args->shift[first + n]);
            y[first + n] = ep_clamp_s8(args->zero + value, args->low, args->high);
        }
    }
}

void ep_depthwise_s8(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t outputs = w->channels * args->multiples;
    for (int32_t b = 0; b < w->batch; b++) {
        for (int32_t i = 0; i < w->out_h; i++)
            for (int32_t j = 0; j < w->out_w; j++) {
                region r;
                r.top = i * w->stride_h - w->pad_h;
                r.left = j * w->stride_w - w->pad_w;
                ep_taps(r.top, w->in_h, w->kernel_h, w->dilation_h, &r.from_h, &r.to_h);
                ep_taps(r.left, w->in_w, w->kernel_w, w->dilation_w, &r.from_w, &r.to_w);
                pixel(args, x, &r, y);
                y += outputs;
            }
        x += (ptrdiff_t)w->in_h * w->in_w * w->channels;
    }
}
