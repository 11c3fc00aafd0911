/* The larger and the smaller of two int8 tensors under one scale, with broadcasting. */
#ifndef EP_BINARY_S8_H
#define EP_BINARY_S8_H

#include "ep_strides.h"

typedef struct {
    ep_strides strides; /* a, b, -, y */
} ep_binary_s8_args;

void ep_maximum_s8(const ep_binary_s8_args *args, const int8_t *a, const int8_t *b, int8_t *y);
void ep_minimum_s8(const ep_binary_s8_args *args, const int8_t *a, const int8_t *b, int8_t *y);

#endif
