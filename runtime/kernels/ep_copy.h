/* Moving elements: slices, transposes, concatenations, repetitions, and the value around a padded tensor. */
#ifndef EP_COPY_H
#define EP_COPY_H

#include "ep_strides.h"

/* Runs of `strides.length[last]` bytes that lie together in both; all steps in bytes. */
typedef struct {
    ep_strides strides; /* x, -, -, y */
    ptrdiff_t from, to;
} ep_copy_args;

void ep_copy(const ep_copy_args *args, const void *x, void *y);

/* `count` elements of `size` bytes (1 or 4), each `value`. */
typedef struct {
    int32_t count, size;
    const void *value;
} ep_fill_args;

void ep_fill(const ep_fill_args *args, void *y);

/* Slices of an axis by number: [outer][size][run] -> [outer][count][run], `run` in bytes. */
typedef struct {
    int32_t outer, size, count, run;
    const int32_t *indices;
} ep_gather_args;

void ep_gather(const ep_gather_args *args, const void *x, void *y);

/* The same by computed numbers; those out of range take the nearest slice. */
typedef struct {
    int32_t outer, size, count, run;
} ep_gather_at_args;

void ep_gather_at_s32(const ep_gather_at_args *args, const void *x, const int32_t *indices, void *y);
void ep_gather_at_s64(const ep_gather_at_args *args, const void *x, const int64_t *indices, void *y);

#endif
