/* The loop of element-wise functions of two tensors; for the kernels' own use. */
#ifndef EP_BINARY_LOOP_H
#define EP_BINARY_LOOP_H

#include "ep_strides.h"

/* Defines `name` over types in and out, for `expression` of a and b; `args_type` has `strides`. */
#define EP_BINARY(name, args_type, in, out, expression)                                                       \
    void name(const args_type *args, const in *x, const in *z, out *y)                                        \
    {                                                                                                         \
        const ep_strides *s = &args->strides;                                                                 \
        const int32_t last = EP_RANK - 1, count = s->length[last];                                            \
        const int32_t step_a = s->step[0][last], step_b = s->step[1][last];                                   \
        ep_walk walk = ep_walk_begin();                                                                       \
        do {                                                                                                  \
            const in *pa = x + walk.offset[0], *pb = z + walk.offset[1];                                      \
            out *py = y + walk.offset[3];                                                                     \
            for (int32_t i = 0; i < count; i++) {                                                             \
                const in a = pa[i * step_a], b = pb[i * step_b];                                              \
                py[i] = (expression);                                                                         \
            }                                                                                                 \
        } while (ep_walk_next(s, &walk));                                                                     \
    }

#endif
