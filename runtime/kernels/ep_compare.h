/* Comparisons and logic with broadcasting; truth is a byte, 0 or 1. Integers are under one scale. */
#ifndef EP_COMPARE_H
#define EP_COMPARE_H

#include "ep_strides.h"

typedef struct {
    ep_strides strides; /* a, b, -, y */
} ep_compare_args;

#define EP_COMPARE_DECLARED(name, type) \
    void name(const ep_compare_args *args, const type *a, const type *b, uint8_t *y)

#define EP_COMPARE_TYPES(name)                  \
    EP_COMPARE_DECLARED(name##_f32, float);     \
    EP_COMPARE_DECLARED(name##_s8, int8_t);     \
    EP_COMPARE_DECLARED(name##_s32, int32_t);   \
    EP_COMPARE_DECLARED(name##_s64, int64_t)

EP_COMPARE_TYPES(ep_greater);
EP_COMPARE_TYPES(ep_greater_equal);
EP_COMPARE_TYPES(ep_less);
EP_COMPARE_TYPES(ep_less_equal);
EP_COMPARE_TYPES(ep_equal);
EP_COMPARE_TYPES(ep_not_equal);
EP_COMPARE_DECLARED(ep_not_equal_u8, uint8_t);
EP_COMPARE_DECLARED(ep_logical_and_u8, uint8_t);
EP_COMPARE_DECLARED(ep_logical_or_u8, uint8_t);

/* Not. */
typedef struct {
    int32_t count;
} ep_logical_not_args;

void ep_logical_not(const ep_logical_not_args *args, const uint8_t *x, uint8_t *y);

/* y = condition ? a : b, elements of `size` bytes; a walk's last axis may be of any length. */
typedef struct {
    ep_strides strides; /* condition, a, b, y, in elements */
    int32_t size;
} ep_select_args;

void ep_select(const ep_select_args *args, const uint8_t *condition, const void *a, const void *b, void *y);

#endif
