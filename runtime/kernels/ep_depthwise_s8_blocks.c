/* ep_depthwise_s8 for EP_LAYOUT_BLOCKS16X4: weights [channels / 16][taps / 4][16][4], the input's zero point in the bias,
 * taps outside of the image read as the zero point. */
#include "ep_depthwise_s8.h"

#include "ep_ring_s8.h"
#include "ep_x86.h"

#define WIDTH 16
#define STEP 4

static inline int32_t taps_of(const ep_window *w) { return w->kernel_h * w->kernel_w; }

static inline int32_t quads_of(const ep_window *w) { return (taps_of(w) + STEP - 1) / STEP; }

static const int8_t *source(const ep_window *w, const int8_t *x, int32_t i, int32_t j, int32_t tap)
{
    const int32_t line = i * w->stride_h - w->pad_h + tap / w->kernel_w * w->dilation_h;
    const int32_t column = j * w->stride_w - w->pad_w + tap % w->kernel_w * w->dilation_w;
    if (line < 0 || line >= w->in_h || column < 0 || column >= w->in_w) return NULL;
    return x + ((ptrdiff_t)line * w->in_w + column) * w->channels;
}

/* Sixteen outputs of one pixel in plain C. */
static void block(const ep_depthwise_s8_args *args, const int8_t *x, int32_t i, int32_t j, int32_t first, int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t left = w->channels * args->multiples - first, count = left < WIDTH ? left : WIDTH;
    const int8_t *weights = args->weights + (ptrdiff_t)first * quads_of(w) * STEP;
    for (int32_t n = 0; n < count; n++) {
        int32_t acc = args->bias[first + n];
        for (int32_t tap = 0; tap < taps_of(w); tap++) {
            const int8_t *pixel = source(w, x, i, j, tap);
            const int32_t value = pixel == NULL ? args->in_zero : pixel[(first + n) / args->multiples];
            acc += (value + 128) * weights[(tap / STEP * WIDTH + n) * STEP + tap % STEP];
        }
        acc = ep_rescale(acc, args->multiplier[first + n], args->shift[first + n]);
        y[first + n] = ep_clamp_s8(args->zero + acc, args->low, args->high);
    }
}

static void plain(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_window *w = &args->window;
    const int32_t outputs = w->channels * args->multiples;
    for (int32_t i = 0; i < w->out_h; i++)
        for (int32_t j = 0; j < w->out_w; j++, y += outputs)
            for (int32_t first = 0; first < outputs; first += WIDTH) block(args, x, i, j, first, y);
}

#if defined(EP_X_LANES)

/* What belongs to 64 bytes of results, in the order of ep_x_spread. Few channels are there several times. */
typedef struct {
    int8_t weights[EP_MOST_TAPS / STEP][4][EP_X_LANES * STEP];
    int32_t bias[4][EP_X_LANES], multiplier[4][EP_X_LANES], shift[4][EP_X_LANES];
    ep_x_scale scale[4];
    ep_x_limits limits;
    int32_t quads;
    int shrinks;
} chunk;

static void load_chunk(const ep_depthwise_s8_args *args, int32_t first, int32_t channels, chunk *c)
{
    const int32_t quads = c->quads = quads_of(&args->window);
    int32_t n = first;
    for (int32_t byte = 0; byte < EP_CHUNK; byte++, n = n + 1 < first + channels ? n + 1 : first) {
        const int32_t vector = byte / 4 % 4, lane = byte / 16 * 4 + byte % 4;
        const int8_t *w = args->weights + ((ptrdiff_t)(n / WIDTH) * quads * WIDTH + n % WIDTH) * STEP;
        c->bias[vector][lane] = args->bias[n];
        c->multiplier[vector][lane] = args->multiplier[n];
        c->shift[vector][lane] = args->shift[n];
        for (int32_t k = 0; k < quads; k++) memcpy(c->weights[k][vector] + STEP * lane, w + k * WIDTH * STEP, STEP);
    }
    c->shrinks = ep_all_shrink(args->shift + first, channels);
    if (c->shrinks)
        for (int32_t q = 0; q < 4; q++) c->scale[q] = ep_x_load_scale(c->multiplier[q], c->shift[q]);
    c->limits = ep_x_load_limits(args->zero, args->low, args->high);
}

/* 64 bytes of results, the inputs of which lie `at` behind the taps. */
EP_INLINE ep_x_bytes results(const chunk *c, const int8_t *const *taps, ptrdiff_t at, int32_t quads)
{
    ep_x acc[4];
    EP_UNROLL for (int32_t q = 0; q < 4; q++) acc[q] = ep_x_load(c->bias[q]);
    for (int32_t k = 0; k < quads; k++) {
        ep_x_inputs inputs[4];
        ep_x_spread(taps + STEP * k, at, inputs);
        EP_UNROLL for (int32_t q = 0; q < 4; q++)
            acc[q] = ep_x_dot(acc[q], inputs[q], ep_x_load_weights(c->weights[k][q]));
    }
    EP_UNROLL for (int32_t q = 0; q < 4; q++)
        acc[q] = c->shrinks ? ep_x_rescale(acc[q], &c->scale[q])
                            : ep_x_rescale_any(acc[q], c->multiplier[q], c->shift[q]);
    return ep_x_unspread(acc[0], acc[1], acc[2], acc[3], &c->limits);
}

/* Taps of the first output of a line; those that only fill up are the first again, their weights are 0. */
static void find_taps(const ep_ring *ring, int32_t top, const int8_t **taps)
{
    const ep_window *w = ring->window;
    int32_t tap = 0;
    for (int32_t a = 0; a < w->kernel_h; a++) {
        const int8_t *line = ep_ring_line(ring, top + a * w->dilation_h);
        for (int32_t b = 0; b < w->kernel_w; b++) {
            const int32_t column = b * w->dilation_w;
            taps[tap++] = line + column % ring->phases * ring->phase_bytes + column / ring->phases * ring->channels;
        }
    }
    for (; tap % STEP != 0; tap++) taps[tap] = taps[0];
}

/* `count` outputs of a line: pixel by pixel, or as they come where all channels fit often into 64 bytes. */
EP_INLINE void line_of(const chunk *c, const int8_t *const *taps, int32_t count, int32_t channels, int32_t all,
                       int32_t quads, int8_t *y)
{
    if (channels == all && EP_CHUNK % channels == 0) {
        const int32_t bytes = count * channels;
        int32_t at = 0;
        for (; at + EP_CHUNK <= bytes; at += EP_CHUNK) ep_x_store(y + at, results(c, taps, at, quads));
        if (at < bytes) ep_x_store_first(y + at, results(c, taps, at, quads), bytes - at);
        return;
    }
    for (int32_t j = 0; j < count; j++, y += all)
        ep_x_store_first(y, results(c, taps, (ptrdiff_t)j * channels, quads), channels);
}

static void vector(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y, int8_t *memory)
{
    const ep_window *w = &args->window;
    const int8_t *taps[EP_MOST_TAPS];
    chunk c;
    for (int32_t first = 0; first < w->channels; first += EP_CHUNK) {
        const int32_t left = w->channels - first, channels = left < EP_CHUNK ? left : EP_CHUNK;
        ep_ring ring = ep_ring_of(w, w->stride_w, first, channels, args->in_zero, memory);
        load_chunk(args, first, channels, &c);
        for (int32_t j = 0; j < w->out_w; j += EP_SEGMENT) {
            const int32_t count = w->out_w - j < EP_SEGMENT ? w->out_w - j : EP_SEGMENT;
            ep_ring_begin(&ring, j, count);
            for (int32_t i = 0; i < w->out_h; i++) {
                const int32_t top = i * w->stride_h - w->pad_h;
                int8_t *to = y + ((ptrdiff_t)i * w->out_w + j) * w->channels + first;
                ep_ring_fill(&ring, x, top);
                find_taps(&ring, top, taps);
                if (c.quads == 3)
                    line_of(&c, taps, count, channels, w->channels, 3, to);
                else
                    line_of(&c, taps, count, channels, w->channels, c.quads, to);
            }
        }
    }
}

#endif

void ep_depthwise_s8(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y, int8_t *memory)
{
    const ep_window *w = &args->window;
    const ptrdiff_t in = (ptrdiff_t)w->in_h * w->in_w * w->channels;
    const ptrdiff_t out = (ptrdiff_t)w->out_h * w->out_w * w->channels * args->multiples;
    for (int32_t b = 0; b < w->batch; b++, x += in, y += out) {
#if defined(EP_X_LANES)
        if (args->multiples == 1 && taps_of(w) <= EP_MOST_TAPS) {
            vector(args, x, y, memory);
            continue;
        }
#endif
        (void)memory;
        plain(args, x, y);
    }
}
