/* ep_depthwise_s8 for EP_LAYOUT_SMLAD: the input's zero point in the bias, taps outside of the image read as it. What does
 * not go in bands of 3 x 3 windows goes pixel by pixel. */
#include "ep_depthwise_s8.h"

#include "ep_depthwise_3x3_smlad.h"
#include "ep_dsp.h"
#include "ep_requant_dsp.h"

#define GROUP 4 /* channels of a word */

/* Where the window of a pixel begins. `inside`: it does not reach beyond the image. */
typedef struct {
    int32_t top, left, inside;
} place;

static inline int32_t is_outside(const ep_window *w, const place *p, int32_t line, int32_t column)
{
    return !p->inside && (line < 0 || line >= w->in_h || column < 0 || column >= w->in_w);
}

/* Four outputs that read four channels. */
static void four(const ep_depthwise_s8_args *args, const int8_t *x, const place *p, int32_t n, int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t *bias = args->bias + n;
    const int32_t pad = (int32_t)(((uint32_t)args->in_zero & 0xFF) * UINT32_C(0x01010101));
    const int8_t *weights = args->weights + n;
    int32_t acc[GROUP] = {bias[0], bias[1], bias[2], bias[3]};
    for (int32_t i = 0; i < w->kernel_h; i++) {
        const int32_t line = p->top + i * w->dilation_h;
        int32_t column = p->left;
        for (int32_t j = 0; j < w->kernel_w; j++, column += w->dilation_w, weights += w->channels) {
            const int8_t *pixel = x + ((ptrdiff_t)line * w->in_w + column) * w->channels + n;
            const int32_t value = is_outside(w, p, line, column) ? pad : ep_word(pixel), tap = ep_word(weights);
            const int32_t x0 = ep_sxtb16(value), x1 = ep_sxtb16_ror8(value);
            const int32_t w0 = ep_sxtb16(tap), w1 = ep_sxtb16_ror8(tap);
            acc[0] = ep_smlabb(x0, w0, acc[0]);
            acc[1] = ep_smlabb(x1, w1, acc[1]);
            acc[2] = ep_smlatt(x0, w0, acc[2]);
            acc[3] = ep_smlatt(x1, w1, acc[3]);
        }
    }
    for (int32_t k = 0; k < GROUP; k++) {
        const ep_scale_dsp scale = ep_make_scale_dsp(args->multiplier[n + k], args->shift[n + k], args->zero);
        y[n + k] = (int8_t)ep_rescale_any_dsp(acc[k], &scale);
    }
}

static void one(const ep_depthwise_s8_args *args, const int8_t *x, const place *p, int32_t n, int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t outputs = w->channels * args->multiples, channel = n / args->multiples;
    const int8_t *weights = args->weights + n;
    const ep_scale_dsp scale = ep_make_scale_dsp(args->multiplier[n], args->shift[n], args->zero);
    int32_t acc = args->bias[n];
    for (int32_t i = 0; i < w->kernel_h; i++)
        for (int32_t j = 0; j < w->kernel_w; j++, weights += outputs) {
            const int32_t line = p->top + i * w->dilation_h, column = p->left + j * w->dilation_w;
            const int8_t *pixel = x + ((ptrdiff_t)line * w->in_w + column) * w->channels + channel;
            acc += (is_outside(w, p, line, column) ? args->in_zero : *pixel) * *weights;
        }
    y[n] = (int8_t)ep_rescale_any_dsp(acc, &scale);
}

static void by_pixels(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t outputs = w->channels * args->multiples;
    for (int32_t i = 0; i < w->out_h; i++)
        for (int32_t j = 0; j < w->out_w; j++, y += outputs) {
            const int32_t top = i * w->stride_h - w->pad_h, left = j * w->stride_w - w->pad_w;
            const int32_t bottom = top + (w->kernel_h - 1) * w->dilation_h;
            const int32_t right = left + (w->kernel_w - 1) * w->dilation_w;
            const place p = {top, left, top >= 0 && left >= 0 && bottom < w->in_h && right < w->in_w};
            int32_t n = 0;
            if (args->multiples == 1)
                for (; n + GROUP <= outputs; n += GROUP) four(args, x, &p, n, y);
            for (; n < outputs; n++) one(args, x, &p, n, y);
        }
}

void ep_depthwise_s8(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y, int8_t *scratch)
{
    const ep_window *w = &args->window;
    const int32_t in = w->in_h * w->in_w * w->channels, out = w->out_h * w->out_w * w->channels * args->multiples;
    for (int32_t b = 0; b < w->batch; b++) {
        if (args->band > 0)
            ep_depthwise_3x3_smlad(args, x + (ptrdiff_t)b * in, y + (ptrdiff_t)b * out, (int32_t *)(void *)scratch);
        else
            by_pixels(args, x + (ptrdiff_t)b * in, y + (ptrdiff_t)b * out);
    }
    ep_clamp_all_s8(y, w->batch * out, args->low, args->high);
}
