#include "ep_reduce.h"

#include "ep_vec.h"

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

#if defined(EP_VEC_LANES)

/* Sums of EP_VEC_LANES results that lie beside each other. */
static void sum_lanes(const ep_sum_s8_args *args, const ep_vec_scale *scale, const int8_t *x, int8_t *y)
{
    const ep_strides *r = &args->axes.reduced;
    const int32_t length = r->length[EP_RANK - 1], step = r->step[0][EP_RANK - 1];
    ep_vec acc = ep_vec_set1(-args->axes.count * args->in_zero);
    ep_walk walk = ep_walk_begin();
    do {
        const int8_t *row = x + walk.offset[0];
        for (int32_t k = 0; k < length; k++) acc = ep_vec_add(acc, ep_vec_load_s8(row + (ptrdiff_t)k * step));
    } while (ep_walk_next(r, &walk));
    ep_vec_store_s8(y, ep_vec_rescale(acc, scale), args->zero, args->low, args->high);
}

/* Whole vectors of `length` results; gives how many results that are. */
static int32_t sums_lanes(const ep_sum_s8_args *args, const int8_t *x, int32_t length, int8_t *y)
{
    const ep_vec_scale scale = ep_vec_scale_set1(args->scale.multiplier, args->scale.shift);
    int32_t n = 0;
    for (; n + EP_VEC_LANES <= length; n += EP_VEC_LANES) sum_lanes(args, &scale, x + n, y + n);
    return n;
}

#else

static int32_t sums_lanes(const ep_sum_s8_args *args, const int8_t *x, int32_t length, int8_t *y)
{
    int32_t n = 0;
    for (; n + WIDTH <= length; n += WIDTH) sum_beside(args, x + n, WIDTH, y + n);
    return n;
}

#endif

static void sums_beside(const ep_sum_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_strides *kept = &args->axes.kept;
    const int32_t length = kept->length[EP_RANK - 1];
    ep_walk walk = ep_walk_begin();
    do {
        const int8_t *from = x + walk.offset[0];
        int8_t *to = y + walk.offset[3];
        const int32_t n = sums_lanes(args, from, length, to);
        if (n < length) sum_beside(args, from + n, length - n, to + n);
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
