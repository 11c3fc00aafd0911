/* The lines under a convolution's window, padded, counted from -128, in a ring: line l of the image lies at
 * l modulo their number. Only for EP_LAYOUT_BLOCKS16X4. */
#ifndef EP_RING_S8_H
#define EP_RING_S8_H

#include <string.h>

#include "ep_window.h"

/* The exporter reserves what these need: export/c/layout_blocks.py. */
#define EP_SEGMENT 32   /* outputs of a line from one ring */
#define EP_CHUNK 64     /* channels of a depthwise convolution */
#define EP_MOST_TAPS 64 /* of a depthwise convolution with vectors */
#define EP_RING_ALIGNMENT 16

typedef struct {
    const ep_window *window;
    int8_t *memory;
    int8_t outside;
    int32_t lines, phases;
    int32_t first, channels;            /* which channels of the image */
    int32_t start, columns;             /* of the image; the first may lie outside */
    int32_t next;                       /* the first line that is not there yet */
    ptrdiff_t line_bytes, phase_bytes;  /* column c is number c / phases of phase c modulo phases */
} ep_ring;

static inline int32_t ep_reach_w(const ep_window *w) { return (w->kernel_w - 1) * w->dilation_w + 1; }

static inline ep_ring ep_ring_of(const ep_window *w, int32_t phases, int32_t first, int32_t channels, int32_t pad,
                                 int8_t *memory)
{
    const int32_t outputs = w->out_w < EP_SEGMENT ? w->out_w : EP_SEGMENT;
    const int32_t columns = (outputs - 1) * w->stride_w + ep_reach_w(w);
    ep_ring ring;
    ring.window = w;
    ring.memory = memory;
    ring.outside = (int8_t)(pad ^ -128);
    ring.lines = (w->kernel_h - 1) * w->dilation_h + 1;
    ring.phases = phases;
    ring.first = first;
    ring.channels = channels;
    ring.start = ring.columns = ring.next = 0;
    ring.phase_bytes = (ptrdiff_t)((columns + phases - 1) / phases) * channels;
    ring.line_bytes = (ring.phase_bytes * phases + EP_RING_ALIGNMENT - 1) / EP_RING_ALIGNMENT * EP_RING_ALIGNMENT;
    return ring;
}

static inline int8_t *ep_ring_line(const ep_ring *ring, int32_t line)
{
    return ring->memory + (line + ring->window->pad_h) % ring->lines * ring->line_bytes;
}

/* A copy counted from -128; the last piece of a short one may overlap the one before. Long ones are left to the
 * compiler's vectors. */
static inline void ep_copy_flipped(int8_t *EP_RESTRICT to, const int8_t *EP_RESTRICT from, int32_t count)
{
    const uint64_t flip = UINT64_C(0x8080808080808080);
    uint64_t piece;
    int32_t i = 0;
    if (count < 8 || count > 64) {
        for (; i < count; i++) to[i] = (int8_t)(from[i] ^ -128);
        return;
    }
    for (; i + 8 <= count; i += 8) {
        memcpy(&piece, from + i, 8);
        piece ^= flip;
        memcpy(to + i, &piece, 8);
    }
    memcpy(&piece, from + count - 8, 8);
    piece ^= flip;
    memcpy(to + count - 8, &piece, 8);
}

static inline void ep_ring_copy(const ep_ring *ring, const int8_t *image, int32_t line)
{
    const ep_window *w = ring->window;
    const int32_t channels = ring->channels, all = w->channels;
    int32_t from = ring->start < 0 ? -ring->start : 0, to = w->in_w - ring->start;
    int8_t *row = ep_ring_line(ring, line);
    const int8_t *source;
    if (to > ring->columns) to = ring->columns;
    if (line < 0 || line >= w->in_h || from >= to) from = to = ring->columns;
    source = from < to ? image + ((ptrdiff_t)line * w->in_w + ring->start + from) * all + ring->first : image;
    if (ring->phases == 1 && channels == all) {
        memset(row, ring->outside, (size_t)(from * channels));
        if (from < to) ep_copy_flipped(row + from * channels, source, (to - from) * channels);
        memset(row + to * channels, ring->outside, (size_t)((ring->columns - to) * channels));
        return;
    }
    for (int32_t c = 0; c < ring->columns; c++) {
        int8_t *pixel = row + c % ring->phases * ring->phase_bytes + (ptrdiff_t)(c / ring->phases) * channels;
        if (c >= from && c < to)
            ep_copy_flipped(pixel, source + (ptrdiff_t)(c - from) * all, channels);
        else
            memset(pixel, ring->outside, (size_t)channels);
    }
}

/* Begin with outputs [from, from + count) of lines. */
static inline void ep_ring_begin(ep_ring *ring, int32_t from, int32_t count)
{
    const ep_window *w = ring->window;
    ring->start = from * w->stride_w - w->pad_w;
    ring->columns = (count - 1) * w->stride_w + ep_reach_w(w);
    ring->next = -w->pad_h;
}

/* The lines of windows that begin at line `top`. */
static inline void ep_ring_fill(ep_ring *ring, const int8_t *image, int32_t top)
{
    if (ring->next < top) ring->next = top;
    for (; ring->next < top + ring->lines; ring->next++) ep_ring_copy(ring, image, ring->next);
}

#endif
