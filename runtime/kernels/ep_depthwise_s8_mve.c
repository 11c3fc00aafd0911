/* ep_depthwise_s8 for EP_LAYOUT_MVE: weights [outputs][kernel_h / 4][kernel_w / 4][4 columns][4 lines], filled up with
 * 0; the input's zero point in the bias. A strip holds sixteen channels of some columns of four lines, the lines of a
 * channel beside each other: one gathering load brings a channel's window of 4 x 4, its sum is one instruction. */
#include "ep_depthwise_s8.h"

#include "ep_requant.h"

static inline int32_t quarters(int32_t count) { return (count + 3) / 4; }

/* One output channel of an image in plain C. */
static void plain(const ep_depthwise_s8_args *args, const int8_t *x, int32_t n, int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t outputs = w->channels * args->multiples, across = quarters(w->kernel_w);
    const int8_t *weights = args->weights + (ptrdiff_t)n * quarters(w->kernel_h) * across * 16;
    for (int32_t i = 0; i < w->out_h; i++)
        for (int32_t j = 0; j < w->out_w; j++) {
            int32_t acc = args->bias[n];
            for (int32_t a = 0; a < w->kernel_h; a++)
                for (int32_t b = 0; b < w->kernel_w; b++) {
                    const int32_t line = i * w->stride_h - w->pad_h + a * w->dilation_h;
                    const int32_t column = j * w->stride_w - w->pad_w + b * w->dilation_w;
                    int32_t value = args->in_zero;
                    if (line >= 0 && line < w->in_h && column >= 0 && column < w->in_w)
                        value = x[((ptrdiff_t)line * w->in_w + column) * w->channels + n / args->multiples];
                    acc += value * weights[(a / 4 * across + b / 4) * 16 + b % 4 * 4 + a % 4];
                }
            acc = ep_rescale(acc, args->multiplier[n], args->shift[n]);
            y[((ptrdiff_t)i * w->out_w + j) * outputs + n] = ep_clamp_s8(args->zero + acc, args->low, args->high);
        }
}

#if defined(EP_TARGET_MVE)

#include "ep_depthwise_mve.h"

/* All channels whose factors are below 1/2, the others are of no use; gives 0 if a window does not fit a strip. */
static int vectors(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_window *w = &args->window;
    const ep_plan_mve p = ep_plan_windows_mve(w);
    int32_t together = 1;
    if (p.most < p.fewest) return 0;
    if (p.most == w->out_w && p.kind != EP_ANY) together = EP_STRIP_COLUMNS / ep_columns_mve(w, &p, w->out_w);
    for (int32_t i = 0; i < w->out_h;) {
        const int32_t left = (w->out_h - i) / p.lines, rows = left < together ? left : together;
        const int32_t line = rows > 0 ? i : w->out_h - p.lines; /* the last line once more, with the one before it */
        for (int32_t j = 0; j < w->out_w; j += p.most) {
            const int32_t count = w->out_w - j < p.most ? w->out_w - j : p.most;
            const int32_t column = count < p.fewest ? w->out_w - p.fewest : j;
            ep_windows_mve(args, &p, x, line, rows > 0 ? rows : 1, column, count < p.fewest ? p.fewest : count, y);
        }
        i += rows > 0 ? rows * p.lines : 1;
    }
    return 1;
}

#else

static int vectors(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y)
{
    (void)args, (void)x, (void)y;
    return 0;
}

#endif

void ep_depthwise_s8(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t outputs = w->channels * args->multiples;
    const ptrdiff_t in = (ptrdiff_t)w->in_h * w->in_w * w->channels, out = (ptrdiff_t)w->out_h * w->out_w * outputs;
    for (int32_t b = 0; b < w->batch; b++, x += in, y += out) {
        const int done = vectors(args, x, y);
        for (int32_t n = 0; n < outputs; n++)
            if (!done || args->shift[n] >= 0) plain(args, x, n, y);
    }
}
