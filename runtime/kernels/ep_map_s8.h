/* Functions of one int8 value: by a table of 256 entries, or another scale. Results may overwrite their input. */
#ifndef EP_MAP_S8_H
#define EP_MAP_S8_H

#include "ep_requant.h"

typedef struct {
    int32_t count;
    const int8_t *table; /* 256 entries, of -128 first */
} ep_table_s8_args;

void ep_table_s8(const ep_table_s8_args *args, const int8_t *x, int8_t *y);

typedef struct {
    int32_t count, in_zero;
    ep_scale scale;
    int32_t zero, low, high;
} ep_rescale_s8_args;

void ep_rescale_s8(const ep_rescale_s8_args *args, const int8_t *x, int8_t *y);

#endif
