/* Packed signs of pixels against packed filters: how many differ, popcount(x XOR w).
 *
 * Filters lie in blocks of EP_BITS_LANES outputs, [outputs / lanes][words of a filter][lanes], filled up with 0. They
 * are multiplied in groups of EP_BITS_GROUP outputs, one word of packed results. */
#ifndef EP_BDOTS_H
#define EP_BDOTS_H

#include "ep_base.h"

#if EP_LAYOUT == EP_LAYOUT_BLOCKS16X4
#define EP_BITS_LANES 16
#define EP_BITS_PIXELS 8
#elif EP_LAYOUT == EP_LAYOUT_NEON || EP_LAYOUT == EP_LAYOUT_NEON_DOT
#define EP_BITS_LANES 16
#define EP_BITS_PIXELS 4
#elif EP_LAYOUT == EP_LAYOUT_MVE
#define EP_BITS_LANES 4
#define EP_BITS_PIXELS 4
#else
#define EP_BITS_LANES 1
#define EP_BITS_PIXELS 4
#endif

#define EP_BITS_GROUP 32

/* Where the words of a window lie, in the image and in a filter of `words`: `lines` x `taps` runs of `run` words. */
typedef struct {
    int32_t lines, taps, run;
    ptrdiff_t line_step, tap_step;
    int32_t filter_line, filter_tap;
    int32_t words;
} ep_bits_shape;

/* differing[p][n] for `pixels` windows that begin at x[p] and up to EP_BITS_GROUP outputs whose blocks begin at
 * `filters`; those of unused lanes are of no use. pixels <= EP_BITS_PIXELS. */
void ep_bdots(const ep_bits_shape *shape, const uint32_t *filters, const uint32_t *const *x, int32_t pixels,
              int32_t outputs, int32_t (*differing)[EP_BITS_GROUP]);

#endif
