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

/* The window that begins at (top, left) of an image whose pixels are `step` bytes apart: `size` bytes of each, one behind
 * the other. What lies outside is `outside`. */
static inline void ep_gather(const ep_window *w, const int8_t *x, int32_t top, int32_t left, int32_t size, int32_t step,
                             int8_t outside, int8_t *row)
{
    int32_t from, to;
    ep_taps(left, w->in_w, w->kernel_w, w->dilation_w, &from, &to);
    for (int32_t i = 0; i < w->kernel_h; i++) {
        const int32_t line = top + i * w->dilation_h;
        if (line < 0 || line >= w->in_h) {
            row = ep_fill_s8(row, outside, w->kernel_w * size);
            continue;
        }
        const int8_t *source = x + (ptrdiff_t)line * w->in_w * step;
        row = ep_fill_s8(row, outside, from * size);
        if (w->dilation_w == 1 && size == step) {
            const int32_t count = (to - from) * size;
            ep_copy_s8(row, source + (ptrdiff_t)(left + from) * size, count);
            row += count;
        } else {
            for (int32_t j = from; j < to; j++, row += size)
                ep_copy_s8(row, source + (ptrdiff_t)(left + j * w->dilation_w) * step, size);
        }
        row = ep_fill_s8(row, outside, (w->kernel_w - to) * size);
    }
}

/* The same of a whole image of bytes. */
static inline void ep_gather_s8(const ep_window *w, const int8_t *x, int32_t top, int32_t left, int8_t outside,
                                int8_t *row)
{
    ep_gather(w, x, top, left, w->channels, w->channels, outside, row);
}

#endif
