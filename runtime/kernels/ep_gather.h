/* The window of one output pixel as one row of bytes. */
#ifndef EP_GATHER_H
#define EP_GATHER_H

#include <string.h>

#include "ep_window.h"

static inline int8_t *ep_fill_s8(int8_t *to, int8_t value, int32_t count)
{
    for (int32_t i = 0; i < count; i++) to[i] = value;
    return to + count;
}

/* A short copy without a call: in pieces, the last of which may overlap the one before. */
static inline void ep_copy_s8(int8_t *EP_RESTRICT to, const int8_t *EP_RESTRICT from, int32_t count)
{
    if (count >= 16) {
        for (int32_t i = 0; i + 16 < count; i += 16) memcpy(to + i, from + i, 16);
        memcpy(to + count - 16, from + count - 16, 16);
    } else if (count >= 8) {
        memcpy(to, from, 8);
        memcpy(to + count - 8, from + count - 8, 8);
    } else {
        for (int32_t i = 0; i < count; i++) to[i] = from[i];
    }
}

/* The window that begins at (top, left) of image x; what lies outside is `outside`. */
static inline void ep_gather_s8(const ep_window *w, const int8_t *x, int32_t top, int32_t left, int8_t outside,
                                int8_t *row)
{
    const int32_t channels = w->channels;
    int32_t from, to;
    ep_taps(left, w->in_w, w->kernel_w, w->dilation_w, &from, &to);
    for (int32_t i = 0; i < w->kernel_h; i++) {
        const int32_t line = top + i * w->dilation_h;
        if (line < 0 || line >= w->in_h) {
            row = ep_fill_s8(row, outside, w->kernel_w * channels);
            continue;
        }
        const int8_t *source = x + (ptrdiff_t)line * w->in_w * channels;
        row = ep_fill_s8(row, outside, from * channels);
        if (w->dilation_w == 1) {
            const int32_t count = (to - from) * channels;
            ep_copy_s8(row, source + (ptrdiff_t)(left + from) * channels, count);
            row += count;
        } else {
            for (int32_t j = from; j < to; j++) {
                const int8_t *pixel = source + (ptrdiff_t)(left + j * w->dilation_w) * channels;
                memcpy(row, pixel, (size_t)channels * sizeof *row);
                row += channels;
            }
        }
        row = ep_fill_s8(row, outside, (w->kernel_w - to) * channels);
    }
}

#endif
