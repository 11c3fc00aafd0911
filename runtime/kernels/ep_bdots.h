/* Packed signs of pixels against packed filters: how many differ, popcount(x XOR w).
 *
 * Filters lie with EP_BITS_LANES outputs side by side, either one block of outputs after the other,
 *     [outputs / lanes][words of a filter][lanes]
 * or, where EP_BITS_DEPTH words are added before their ones are counted, these of all outputs,
 *     [words / depth][outputs / lanes][depth][lanes]
 * filled up with 0. They are multiplied in groups of EP_BITS_GROUP outputs, one word of packed results. */
#ifndef EP_BDOTS_H
#define EP_BDOTS_H

#include "ep_base.h"

#if EP_LAYOUT == EP_LAYOUT_BLOCKS16X4
#define EP_BITS_LANES 16
#define EP_BITS_DEPTH 1
#define EP_BITS_PIXELS 8
#elif EP_LAYOUT == EP_LAYOUT_NEON || EP_LAYOUT == EP_LAYOUT_NEON_DOT
#define EP_BITS_LANES 16
#define EP_BITS_DEPTH 1
#define EP_BITS_PIXELS 4
#elif EP_LAYOUT == EP_LAYOUT_MVE
#define EP_BITS_LANES 4
#define EP_BITS_DEPTH 3
#define EP_BITS_PIXELS 2
#elif EP_LAYOUT == EP_LAYOUT_SMLAD
#define EP_BITS_LANES 1
#define EP_BITS_DEPTH 3
#define EP_BITS_PIXELS 2
#else
#define EP_BITS_LANES 1
#define EP_BITS_DEPTH 1
#define EP_BITS_PIXELS 4
#endif

#define EP_BITS_GROUP 32

/* Where kernels count down, ep_bdots gives the negative of counts: a matter of layout and target, which all files of a
 * program share, not of how one of them is optimized. */
#if EP_LAYOUT == EP_LAYOUT_SMLAD && defined(EP_TARGET_SMLAD) && !defined(EP_TARGET_MVE)
#define EP_BITS_SIGN (-1)
#else
#define EP_BITS_SIGN 1
#endif

/* Sum of signs from a count of those that differ. */
static inline int32_t ep_bits_sum(int32_t products, int32_t differing) { return products - EP_BITS_SIGN * 2 * differing; }

/* Where the words of a window lie, in the image and in a filter: `lines` x `taps` runs of `run` words. */
typedef struct {
    int32_t lines, taps, run;
    ptrdiff_t line_step, tap_step;
    int32_t begin; /* word of a filter that meets a window's first */
    int32_t filter_line, filter_tap;
    int32_t words;   /* of a filter */
    int32_t outputs; /* filled up */
} ep_bits_shape;

/* Word `k` of the filters of outputs from `n` on, a multiple of the lanes. */
static inline const uint32_t *ep_bits_filter(const ep_bits_shape *s, const uint32_t *filters, int32_t n, int32_t k)
{
#if EP_BITS_DEPTH > 1
    const ptrdiff_t block = (ptrdiff_t)(k / EP_BITS_DEPTH) * s->outputs + n;
    return filters + block * EP_BITS_DEPTH + k % EP_BITS_DEPTH * EP_BITS_LANES;
#else
    return filters + (ptrdiff_t)n * s->words + (ptrdiff_t)k * EP_BITS_LANES;
#endif
}

/* EP_BITS_SIGN times differing[p][i] for `pixels` windows that begin at x[p] and outputs first + i, up to EP_BITS_GROUP; what other
 * places hold afterwards is of no use. pixels <= EP_BITS_PIXELS, first is a multiple of EP_BITS_GROUP. */
void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, int32_t first, int32_t outputs,
              const uint32_t *const *x, int32_t pixels, int32_t (*differing)[EP_BITS_GROUP]);

#endif
