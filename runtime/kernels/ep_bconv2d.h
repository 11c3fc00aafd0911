/* Convolution of packed signs, [N, H, W, words] -> [N, H', W', outputs] by XOR and popcount.
 *
 *     y = K - 2 popcount(x XOR w)          K: products of a window
 *
 * What lies outside of the image is +1, or 0: then K counts the taps inside only, and no other is looked at. Results:
 *     bits     y < threshold[n], packed as the inputs
 *     float    clamp(y) * multiplier[n] + bias[n]
 *     int8     the same / scale, rounded half away from zero or to even, + zero, clamped to -128..127
 * A dense layer has the window 1 x 1. */
#ifndef EP_BCONV2D_H
#define EP_BCONV2D_H

#include "ep_bdots.h"
#include "ep_window.h"

#define EP_BITS_FAR (1 << 30) /* beyond every sum: no clamp */

typedef struct {
    ep_window window;        /* channels: words of a pixel */
    int32_t groups;          /* whole words each; outputs of a group are a multiple of 32 if there are several */
    int32_t channels;        /* of one group */
    int32_t outputs;         /* of all groups */
    int32_t outside;         /* 1 or 0 */
    const int32_t *filters;  /* as ep_bdots.h says, group by group */
    const int32_t *threshold; /* filled up to a multiple of EP_BITS_GROUP */
    const float *multiplier, *bias;
    int32_t low, high;       /* of sums, for float and int8 */
    float scale;             /* of int8 */
    int32_t zero, to_even;
} ep_bconv2d_args;

/* `rows` holds EP_BITS_PIXELS windows; it is read only where +1 lies outside of the image. */
void ep_bconv2d_bits(const ep_bconv2d_args *args, const int32_t *x, int32_t *y, int32_t *rows);
void ep_bconv2d_f32(const ep_bconv2d_args *args, const int32_t *x, float *y, int32_t *rows);
void ep_bconv2d_s8(const ep_bconv2d_args *args, const int32_t *x, int8_t *y, int32_t *rows);

#endif
