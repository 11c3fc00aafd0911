#include "ep_arg.h"

#define ARG(name, type, better)                                                             \
    void name(const ep_arg_args *args, const type *x, int64_t *y)                           \
    {                                                                                       \
        for (int32_t o = 0; o < args->outer; o++)                                           \
            for (int32_t i = 0; i < args->inner; i++) {                                     \
                const type *row = x + (ptrdiff_t)o * args->size * args->inner + i;          \
                int32_t best = 0;                                                           \
                for (int32_t k = 1; k < args->size; k++)                                    \
                    if (row[(ptrdiff_t)k * args->inner] better row[(ptrdiff_t)best * args->inner]) best = k; \
                y[(ptrdiff_t)o * args->inner + i] = best;                                   \
            }                                                                               \
    }

ARG(ep_arg_max_f32, float, >)
ARG(ep_arg_min_f32, float, <)
ARG(ep_arg_max_s8, int8_t, >)
ARG(ep_arg_min_s8, int8_t, <)
