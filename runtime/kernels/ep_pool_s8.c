#include "ep_pool_s8.h"

#include "ep_vec.h"

#define WIDTH 32 /* channels held at once */

typedef struct {
    int32_t top, left, from_h, to_h, from_w, to_w;
} region;

static region region_of(const ep_window *w, int32_t i, int32_t j)
{
    region r;
    r.top = i * w->stride_h - w->pad_h;
    r.left = j * w->stride_w - w->pad_w;
    ep_taps(r.top, w->in_h, w->kernel_h, w->dilation_h, &r.from_h, &r.to_h);
    ep_taps(r.left, w->in_w, w->kernel_w, w->dilation_w, &r.from_w, &r.to_w);
    return r;
}

static const int8_t *at(const ep_window *w, const int8_t *x, const region *r, int32_t i, int32_t j)
{
    const int32_t line = r->top + i * w->dilation_h, column = r->left + j * w->dilation_w;
    return x + ((ptrdiff_t)line * w->in_w + column) * w->channels;
}

#if defined(EP_TARGET_MVE)

static void largest(const ep_pool_s8_args *args, const int8_t *x, const region *r, int8_t *EP_RESTRICT y)
{
    const ep_window *w = &args->window;
    for (int32_t n = 0; n < w->channels; n += 16) {
        const mve_pred16_t lanes = vctp8q((uint32_t)(w->channels - n));
        int8x16_t most = vdupq_n_s8((int8_t)args->low);
        for (int32_t i = r->from_h; i < r->to_h; i++) {
            const int8_t *pixel = at(w, x, r, i, r->from_w) + n;
            for (int32_t j = r->from_w; j < r->to_w; j++, pixel += w->dilation_w * w->channels)
                most = vmaxq_s8(most, vldrbq_z_s8(pixel, lanes));
        }
        vstrbq_p_s8(y + n, vminq_s8(most, vdupq_n_s8((int8_t)args->high)), lanes);
    }
}

#else

static void largest(const ep_pool_s8_args *args, const int8_t *x, const region *r, int8_t *EP_RESTRICT y)
{
    const ep_window *w = &args->window;
    for (int32_t n = 0; n < w->channels; n++) y[n] = (int8_t)args->low;
    for (int32_t i = r->from_h; i < r->to_h; i++)
        for (int32_t j = r->from_w; j < r->to_w; j++) {
            const int8_t *EP_RESTRICT pixel = at(w, x, r, i, j);
            for (int32_t n = 0; n < w->channels; n++) y[n] = pixel[n] > y[n] ? pixel[n] : y[n];
        }
    for (int32_t n = 0; n < w->channels; n++) y[n] = y[n] > args->high ? (int8_t)args->high : y[n];
}

#endif

void ep_max_pool_s8(const ep_pool_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_window *w = &args->window;
    for (int32_t b = 0; b < w->batch; b++) {
        for (int32_t i = 0; i < w->out_h; i++)
            for (int32_t j = 0; j < w->out_w; j++) {
                const region r = region_of(w, i, j);
                largest(args, x, &r, y);
                y += w->channels;
            }
        x += (ptrdiff_t)w->in_h * w->in_w * w->channels;
    }
}

static int32_t divide_half_away(int32_t total, int32_t count)
{
    if (count == 0) return 0;
    return total > 0 ? (total + count / 2) / count : -((-total + count / 2) / count);
}

static int32_t elements_of(const region *r) { return (r->to_h - r->from_h) * (r->to_w - r->from_w); }

/* The means of channels from `first` on. */
static void average(const ep_average_pool_s8_args *args, const int8_t *x, const region *r, int32_t first,
                    int8_t *EP_RESTRICT y)
{
    const ep_window *w = &args->window;
    const int32_t count = elements_of(r);
    for (; first < w->channels; first += WIDTH) {
        const int32_t width = w->channels - first < WIDTH ? w->channels - first : WIDTH;
        int32_t acc[WIDTH] = {0};
        for (int32_t i = r->from_h; i < r->to_h; i++)
            for (int32_t j = r->from_w; j < r->to_w; j++) {
                const int8_t *pixel = at(w, x, r, i, j) + first;
                for (int32_t n = 0; n < width; n++) acc[n] += pixel[n];
            }
        for (int32_t n = 0; n < width; n++) {
            const int32_t mean = divide_half_away(acc[n] - count * args->zero, count);
            y[first + n] = ep_clamp_s8(args->zero + mean, args->low, args->high);
        }
    }
}

#if defined(EP_VEC_LANES)

#define MOST 65536 /* elements under a window */

/* A division by `count` as a rescaling of what was shifted to the left: by so much that rounding twice is rounding once.
 * With |total| <= 255 count, 2 <= left and |total| 2^left < 2^30, the high product is off by less than 3/4, and by less
 * than 1/2, so not at all, where total / count is a tie; every other quotient is further than that from a tie. */
typedef struct {
    int32_t count, left;
    ep_vec_scale scale;
} divisor;

static divisor divisor_of(int32_t count)
{
    divisor d;
    int32_t power = 0;
    d.count = count;
    d.left = 2;
    while (((int64_t)255 * count << (d.left + 1)) < (INT64_C(1) << 30)) d.left++;
    while ((INT64_C(2) << power) < count) power++; /* 1/2 <= 2^power / count < 1, or count is 1 */
    if (count == 1)
        d.scale = ep_vec_scale_set1(1 << 30, 1 - d.left);
    else
        d.scale = ep_vec_scale_set1((int32_t)(((INT64_C(1) << (31 + power)) + count / 2) / count), -(power + d.left));
    return d;
}

/* Whole vectors of channels; gives how many channels that are. */
static int32_t average_lanes(const ep_average_pool_s8_args *args, const int8_t *x, const region *r, const divisor *d,
                             int8_t *EP_RESTRICT y)
{
    const ep_window *w = &args->window;
    int32_t first = 0;
    for (; first + EP_VEC_LANES <= w->channels; first += EP_VEC_LANES) {
        ep_vec acc = ep_vec_set1(-d->count * args->zero);
        for (int32_t i = r->from_h; i < r->to_h; i++) {
            const int8_t *pixel = at(w, x, r, i, r->from_w) + first;
            for (int32_t j = r->from_w; j < r->to_w; j++, pixel += (ptrdiff_t)w->dilation_w * w->channels)
                acc = ep_vec_add(acc, ep_vec_load_s8(pixel));
        }
        ep_vec_store_s8(y + first, ep_vec_rescale(ep_vec_shl(acc, d->left), &d->scale), args->zero, args->low,
                        args->high);
    }
    return first;
}

#endif

void ep_average_pool_s8(const ep_average_pool_s8_args *args, const int8_t *x, int8_t *y)
{
    const ep_window *w = &args->window;
#if defined(EP_VEC_LANES)
    divisor d = divisor_of(1);
#endif
    for (int32_t b = 0; b < w->batch; b++) {
        for (int32_t i = 0; i < w->out_h; i++)
            for (int32_t j = 0; j < w->out_w; j++) {
                const region r = region_of(w, i, j);
                int32_t done = 0;
#if defined(EP_VEC_LANES)
                const int32_t count = elements_of(&r);
                if (w->channels >= EP_VEC_LANES && count > 0 && count <= MOST) {
                    if (count != d.count) d = divisor_of(count);
                    done = average_lanes(args, x, &r, &d, y);
                }
#endif
                average(args, x, &r, done, y);
                y += w->channels;
            }
        x += (ptrdiff_t)w->in_h * w->in_w * w->channels;
    }
}
