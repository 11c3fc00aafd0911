#include "ep_copy.h"

#include <string.h>

void ep_copy(const ep_copy_args *args, const void *x, void *y)
{
    const ep_strides *s = &args->strides;
    const uint8_t *from = (const uint8_t *)x + args->from;
    uint8_t *to = (uint8_t *)y + args->to;
    const int32_t run = s->length[EP_RANK - 1];
    ep_walk walk = ep_walk_begin();
    do {
        if (run == 1)
            to[walk.offset[3]] = from[walk.offset[0]];
        else
            memcpy(to + walk.offset[3], from + walk.offset[0], (size_t)run);
    } while (ep_walk_next(s, &walk));
}

void ep_fill(const ep_fill_args *args, void *y)
{
    uint8_t *to = y;
    if (args->size == 1) {
        memset(to, *(const uint8_t *)args->value, (size_t)args->count);
        return;
    }
    for (int32_t i = 0; i < args->count; i++) memcpy(to + (ptrdiff_t)i * args->size, args->value, (size_t)args->size);
}

void ep_gather(const ep_gather_args *args, const void *x, void *y)
{
    const uint8_t *from = x;
    uint8_t *to = y;
    for (int32_t o = 0; o < args->outer; o++) {
        for (int32_t i = 0; i < args->count; i++) {
            memcpy(to, from + (ptrdiff_t)args->indices[i] * args->run, (size_t)args->run);
            to += args->run;
        }
        from += (ptrdiff_t)args->size * args->run;
    }
}

#define GATHER_AT(name, type)                                                                          \
    void name(const ep_gather_at_args *args, const void *x, const type *indices, void *y)             \
    {                                                                                                  \
        const uint8_t *from = x;                                                                       \
        uint8_t *to = y;                                                                               \
        for (int32_t o = 0; o < args->outer; o++) {                                                    \
            for (int32_t i = 0; i < args->count; i++) {                                                \
                type at = indices[i] < 0 ? 0 : indices[i];                                             \
                if (at >= args->size) at = args->size - 1;                                             \
                memcpy(to, from + (ptrdiff_t)at * args->run, (size_t)args->run);                       \
                to += args->run;                                                                       \
            }                                                                                          \
            from += (ptrdiff_t)args->size * args->run;                                                 \
        }                                                                                              \
    }

GATHER_AT(ep_gather_at_s32, int32_t)
GATHER_AT(ep_gather_at_s64, int64_t)
