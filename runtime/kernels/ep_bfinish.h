/* From counts of differing signs to results, for up to EP_BITS_GROUP outputs of some pixels. */
#ifndef EP_BFINISH_H
#define EP_BFINISH_H

#include "ep_bconv2d.h"

/* What ep_bdots gave for outputs first + i of pixels whose windows have so many products; results of pixel p at y[p]. */
typedef struct {
    const ep_bconv2d_args *args;
    int32_t products, pixels, first, count;
    char *const *y;
} ep_bcounts;

typedef void (*ep_bfinish)(const ep_bcounts *c, const int32_t (*differing)[EP_BITS_GROUP]);

void ep_bfinish_bits(const ep_bcounts *c, const int32_t (*differing)[EP_BITS_GROUP]);
void ep_bfinish_f32(const ep_bcounts *c, const int32_t (*differing)[EP_BITS_GROUP]);
void ep_bfinish_s8(const ep_bcounts *c, const int32_t (*differing)[EP_BITS_GROUP]);

#endif
