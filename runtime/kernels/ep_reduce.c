#include "ep_reduce.h"

/* Calls `statement` with `value` for each element of x that becomes one value. */
#define FOR_REDUCED(args, x, statement)                                             \
    do {                                                                            \
        ep_walk inner = ep_walk_begin();                                            \
        const int32_t length = (args)->reduced.length[EP_RANK - 1];                 \
        const int32_t step = (args)->reduced.step[0][EP_RANK - 1];                  \
        do {                                                                        \
            for (int32_t k = 0; k < length; k++) {                                  \
                const int32_t at = (int32_t)inner.offset[0] + k * step;             \
                statement;                                                          \
            }                                                                       \
        } while (ep_walk_next(&(args)->reduced, &inner));                           \
    } while (0)

/* Calls `statement` with `from` and `to`, the first element and the result, for each result. */
#define FOR_KEPT(args, statement)                                                   \
    do {                                                                            \
        ep_walk outer = ep_walk_begin();                                            \
        const int32_t length = (args)->kept.length[EP_RANK - 1];                    \
        const int32_t step_x = (args)->kept.step[0][EP_RANK - 1];                   \
        const int32_t step_y = (args)->kept.step[3][EP_RANK - 1];                   \
        do {                                                                        \
            for (int32_t i = 0; i < length; i++) {                                  \
                const ptrdiff_t from = outer.offset[0] + (ptrdiff_t)i * step_x;     \
                const ptrdiff_t to = outer.offset[3] + (ptrdiff_t)i * step_y;       \
                statement;                                                          \
            }                                                                       \
        } while (ep_walk_next(&(args)->kept, &outer));                              \
    } while (0)

static int32_t sum_of(const ep_reduce_args *args, const int8_t *x)
{
    int32_t acc = 0;
    FOR_REDUCED(args, x, acc += x[at]);
    return acc;
}

#define WIDTH 32 /* neighbouring results whose sums are held at once */

/* Sums of `width` results that lie beside each other in x and y. */
static void sum_beside(const ep_sum_s8_args *args, const int8_t *x, int32_t width, int8_t *y)
{
    const ep_strides *r = &args->axes.reduced;
    const int32_t offset = args->axes.count * args->in_zero, length = r->length[EP_RANK - 1];
    int32_t acc[WIDTH] = {0};
    ep_walk walk = ep_walk_begin();
    do {
        for (int32_t k = 0; k < length; k++) {
            const int8_t *row = x + walk.offset[0] + (ptrdiff_t)k * r->step[0][EP_RANK - 1];
            for (int32_t n = 0; n < width; n++) acc[n] += row[n];
        }
    } while (ep_walk_next(r, &walk));
    for (int32_t n = 0; n < width; n++) {
        const int32_t value = ep_rescale(acc[n] - offset, args->scale.multiplier, args->scale.shift);
        y[n] = ep_clamp_s8(args->zero + value, args->low, args->high);
    }
}

static void sums_beside(const ep_sum_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_strides *kept = &args->axes.kept;
    const int32_t length = kept->length[EP_RANK - 1];
    ep_walk walk = ep_walk_begin();
    do {
        int32_t n = 0;
        for (; n + WIDTH <= length; n += WIDTH)
            sum_beside(args, x + walk.offset[0] + n, WIDTH, y + walk.offset[3] + n);
        if (n < length) sum_beside(args, x + walk.offset[0] + n, length - n, y + walk.offset[3] + n);
    } while (ep_walk_next(kept, &walk));
}

void ep_sum_s8(const ep_sum_s8_args *args, const int8_t *x, int8_t *y)
{
    const int32_t offset = args->axes.count * args->in_zero;
    if (args->axes.kept.step[0][EP_RANK - 1] == 1 && args->axes.kept.step[3][EP_RANK - 1] == 1) {
        sums_beside(args, x, y);
        return;
    }
    FOR_KEPT(&args->axes, {
        const int32_t acc = sum_of(&args->axes, x + from) - offset;
        const int32_t value = ep_rescale(acc, args->scale.multiplier, args->scale.shift);
        y[to] = ep_clamp_s8(args->zero + value, args->low, args->high);
    });
}

#define EXTREME(name, type, better)                                                 \
    static type name##_of(const ep_reduce_args *args, const type *x)                \
    {                                                                               \
        type best = x[0];                                                           \
        FOR_REDUCED(args, x, best = x[at] better best ? x[at] : best);              \
        return best;                                                                \
    }                                                                               \
    void name(const ep_reduce_args *args, const type *x, type *y)                   \
    {                                                                               \
        FOR_KEPT(args, y[to] = name##_of(args, x + from));                          \
    }

EXTREME(ep_max_s8, int8_t, >)
EXTREME(ep_min_s8, int8_t, <)
EXTREME(ep_max_f32, float, >)
EXTREME(ep_min_f32, float, <)

static float total(const ep_reduce_args *args, const float *x)
{
    float acc = 0.0f;
    FOR_REDUCED(args, x, acc += x[at]);
    return acc;
}

void ep_sum_f32(const ep_reduce_args *args, const float *x, float *y)
{
    FOR_KEPT(args, y[to] = total(args, x + from));
}

void ep_mean_f32(const ep_reduce_args *args, const float *x, float *y)
{
    FOR_KEPT(args, y[to] = total(args, x + from) / (float)args->count);
}
