/* From counts of differing signs to results, for up to EP_BITS_GROUP outputs of one pixel. */
#ifndef EP_BFINISH_H
#define EP_BFINISH_H

#include "ep_bconv2d.h"

/* products: of the window; first: output that differing[0] belongs to; y: the pixel's results. */
typedef void (*ep_bfinish)(const ep_bconv2d_args *args, int32_t products, const int32_t *differing, int32_t first,
                           int32_t count, void *y);

void ep_bfinish_bits(const ep_bconv2d_args *args, int32_t products, const int32_t *differing, int32_t first,
                     int32_t count, void *y);
void ep_bfinish_f32(const ep_bconv2d_args *args, int32_t products, const int32_t *differing, int32_t first,
                    int32_t count, void *y);
void ep_bfinish_s8(const ep_bconv2d_args *args, int32_t products, const int32_t *differing, int32_t first,
                   int32_t count, void *y);

#endif
