#include "ep_compare.h"

#include <string.h>

#include "ep_binary_loop.h"

#define COMPARE(name, sign)                                                \
    EP_BINARY(name##_f32, ep_compare_args, float, uint8_t, a sign b)       \
    EP_BINARY(name##_s8, ep_compare_args, int8_t, uint8_t, a sign b)       \
    EP_BINARY(name##_s32, ep_compare_args, int32_t, uint8_t, a sign b)     \
    EP_BINARY(name##_s64, ep_compare_args, int64_t, uint8_t, a sign b)

COMPARE(ep_greater, >)
COMPARE(ep_greater_equal, >=)
COMPARE(ep_less, <)
COMPARE(ep_less_equal, <=)
COMPARE(ep_equal, ==)
COMPARE(ep_not_equal, !=)
EP_BINARY(ep_not_equal_u8, ep_compare_args, uint8_t, uint8_t, (a != 0) != (b != 0))
EP_BINARY(ep_logical_and_u8, ep_compare_args, uint8_t, uint8_t, a != 0 && b != 0)
EP_BINARY(ep_logical_or_u8, ep_compare_args, uint8_t, uint8_t, a != 0 || b != 0)

void ep_logical_not(const ep_logical_not_args *args, const uint8_t *x, uint8_t *y)
{
    for (int32_t i = 0; i < args->count; i++) y[i] = x[i] == 0;
}

void ep_select(const ep_select_args *args, const uint8_t *condition, const void *a, const void *b, void *y)
{
    const ep_strides *s = &args->strides;
    const int32_t last = EP_RANK - 1;
    const size_t size = (size_t)args->size;
    ep_walk walk = ep_walk_begin();
    do {
        for (int32_t i = 0; i < s->length[last]; i++) {
            ptrdiff_t at[4];
            for (int32_t k = 0; k < 4; k++) at[k] = walk.offset[k] + (ptrdiff_t)i * s->step[k][last];
            const uint8_t *from = condition[at[0]] ? (const uint8_t *)a + at[1] * args->size
                                                   : (const uint8_t *)b + at[2] * args->size;
            memcpy((uint8_t *)y + at[3] * args->size, from, size);
        }
    } while (ep_walk_next(s, &walk));
}
