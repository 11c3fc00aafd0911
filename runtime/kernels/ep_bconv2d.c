#include "ep_bconv2d.h"

#include <string.h>

#include "ep_bfinish.h"

/* Pixels whose windows have one shape, collected until they are as many as the products take at a time. */
typedef struct {
    const ep_bconv2d_args *args;
    ep_bfinish finish;
    ep_bits_shape shape;
    int32_t products; /* of a window */
    int32_t count;
    const uint32_t *x[EP_BITS_PIXELS];
    char *y[EP_BITS_PIXELS];
} tile;

static inline int32_t filled(int32_t outputs) { return (outputs + EP_BITS_LANES - 1) / EP_BITS_LANES * EP_BITS_LANES; }

static inline int32_t filter_words(const ep_bconv2d_args *args)
{
    return args->window.kernel_h * args->window.kernel_w * (args->window.channels / args->groups);
}

static inline ptrdiff_t group_words(const ep_bconv2d_args *args)
{
    const int32_t words = (filter_words(args) + EP_BITS_DEPTH - 1) / EP_BITS_DEPTH * EP_BITS_DEPTH;
    return (ptrdiff_t)filled(args->outputs / args->groups) * words;
}

/* The products of one group of channels with its outputs. */
static void of_group(const tile *t, int32_t group)
{
    const ep_bconv2d_args *args = t->args;
    const int32_t outputs = args->outputs / args->groups, begin = group * outputs;
    const uint32_t *filters = (const uint32_t *)args->filters + group * group_words(args);
    const uint32_t *x[EP_BITS_PIXELS];
    int32_t differing[EP_BITS_PIXELS][EP_BITS_GROUP];
    ep_bcounts c = {args, t->products, t->count, 0, 0, t->y};
    for (int32_t p = 0; p < t->count; p++) x[p] = t->x[p] + group * (args->window.channels / args->groups);
    for (int32_t first = 0; first < outputs; first += EP_BITS_GROUP) {
        const int32_t left = outputs - first, count = left < EP_BITS_GROUP ? left : EP_BITS_GROUP;
        ep_bdots(&t->shape, filters, first, count, x, t->count, differing);
        c.first = begin + first;
        c.count = count;
        t->finish(&c, (const int32_t(*)[EP_BITS_GROUP])differing);
    }
}

static void flush(tile *t)
{
    if (t->count > 0)
        for (int32_t group = 0; group < t->args->groups; group++) of_group(t, group);
    t->count = 0;
}

static inline void push(tile *t, const uint32_t *x, char *y)
{
    t->x[t->count] = x;
    t->y[t->count++] = y;
    if (t->count == EP_BITS_PIXELS) flush(t);
}

static ep_bits_shape shape_of(const ep_bconv2d_args *args, int32_t lines, int32_t taps)
{
    const int32_t words = args->window.channels / args->groups;
    ep_bits_shape s;
    s.lines = lines, s.taps = taps, s.run = words;
    s.line_step = s.tap_step = 0;
    s.begin = s.filter_line = 0;
    s.filter_tap = words;
    s.words = filter_words(args);
    s.outputs = filled(args->outputs / args->groups);
    return s;
}

/* Windows of lines x taps that lie in the image. */
static ep_bits_shape inside(const ep_bconv2d_args *args, int32_t lines, int32_t taps)
{
    const ep_window *w = &args->window;
    const int32_t words = w->channels / args->groups;
    ep_bits_shape s = shape_of(args, lines, taps);
    s.line_step = (ptrdiff_t)w->dilation_h * w->in_w * w->channels;
    s.tap_step = (ptrdiff_t)w->dilation_w * w->channels;
    s.filter_line = w->kernel_w * words;
    if (args->groups == 1 && (w->dilation_w == 1 || taps == 1)) s.taps = 1, s.run = taps * words;
    if (s.taps == 1 && s.run == s.line_step && s.run == s.filter_line) s.run *= s.lines, s.lines = 1;
    return s;
}

/* Windows that were gathered: one run, or one a tap where a group is but a part of it. */
static ep_bits_shape gathered(const ep_bconv2d_args *args)
{
    const int32_t taps = args->window.kernel_h * args->window.kernel_w;
    ep_bits_shape s = shape_of(args, 1, taps);
    s.tap_step = args->window.channels;
    if (args->groups == 1) s.taps = 1, s.run *= taps;
    return s;
}

/* The window of one output pixel as one row, +1 outside. */
static void gather(const ep_window *w, const uint32_t *image, int32_t top, int32_t left, uint32_t *row)
{
    const size_t bytes = (size_t)w->channels * sizeof *row;
    for (int32_t i = 0; i < w->kernel_h; i++)
        for (int32_t j = 0; j < w->kernel_w; j++, row += w->channels) {
            const int32_t line = top + i * w->dilation_h, column = left + j * w->dilation_w;
            if (line < 0 || line >= w->in_h || column < 0 || column >= w->in_w)
                memset(row, 0, bytes);
            else
                memcpy(row, image + ((ptrdiff_t)line * w->in_w + column) * w->channels, bytes);
        }
}

typedef struct {
    int32_t from, to;
} span;

static inline span taps_of(int32_t start, int32_t size, int32_t kernel, int32_t dilation)
{
    span s;
    ep_taps(start, size, kernel, dilation, &s.from, &s.to);
    return s;
}

static inline int same(span a, span b) { return a.from == b.from && a.to == b.to; }

/* Output columns [from, to) of an image, whose windows have the same taps in each line. */
static void columns(tile *t, const uint32_t *image, char *y, size_t pixel_bytes, int32_t from, int32_t to, span taps,
                    uint32_t *rows)
{
    const ep_bconv2d_args *args = t->args;
    const ep_window *w = &args->window;
    span before = {-1, -1};
    int whole = 0;
    for (int32_t i = 0; i < w->out_h; i++) {
        const int32_t top = i * w->stride_h - w->pad_h;
        const span lines = taps_of(top, w->in_h, w->kernel_h, w->dilation_h);
        if (!same(lines, before)) {
            const int32_t n_lines = lines.to - lines.from, n_taps = taps.to - taps.from;
            flush(t);
            before = lines;
            whole = args->outside == 0 || n_lines * n_taps == w->kernel_h * w->kernel_w;
            t->shape = whole ? inside(args, n_lines, n_taps) : gathered(args);
            if (whole) t->shape.begin = (lines.from * w->kernel_w + taps.from) * (w->channels / args->groups);
            t->products = args->channels * (whole ? n_lines * n_taps : w->kernel_h * w->kernel_w);
        }
        const int32_t left = from * w->stride_w - w->pad_w;
        char *result = y + ((size_t)i * (size_t)w->out_w + (size_t)from) * pixel_bytes;
        if (whole) {
            const ptrdiff_t step = (ptrdiff_t)w->stride_w * w->channels;
            const ptrdiff_t line = top + lines.from * w->dilation_h, column = left + taps.from * w->dilation_w;
            const uint32_t *pixel = image + (line * w->in_w + column) * w->channels;
            for (int32_t j = from; j < to; j++, pixel += step, result += pixel_bytes) push(t, pixel, result);
        } else {
            const ptrdiff_t row_words = (ptrdiff_t)filter_words(args) * args->groups;
            for (int32_t j = from; j < to; j++, result += pixel_bytes) {
                uint32_t *row = rows + t->count * row_words;
                gather(w, image, top, j * w->stride_w - w->pad_w, row);
                push(t, row, result);
            }
        }
    }
    flush(t);
}

static void convolve(const ep_bconv2d_args *args, ep_bfinish finish, size_t pixel_bytes, const int32_t *x, void *y,
                     int32_t *rows)
{
    const ep_window *w = &args->window;
    tile t;
    t.args = args;
    t.finish = finish;
    t.count = 0;
    for (int32_t b = 0; b < w->batch; b++) {
        const uint32_t *image = (const uint32_t *)x + (ptrdiff_t)b * w->in_h * w->in_w * w->channels;
        char *result = (char *)y + (size_t)b * (size_t)w->out_h * (size_t)w->out_w * pixel_bytes;
        for (int32_t from = 0, to; from < w->out_w; from = to) {
            const span taps = taps_of(from * w->stride_w - w->pad_w, w->in_w, w->kernel_w, w->dilation_w);
            for (to = from + 1; to < w->out_w; to++)
                if (!same(taps, taps_of(to * w->stride_w - w->pad_w, w->in_w, w->kernel_w, w->dilation_w))) break;
            columns(&t, image, result, pixel_bytes, from, to, taps, (uint32_t *)rows);
        }
    }
}

void ep_bconv2d_bits(const ep_bconv2d_args *args, const int32_t *x, int32_t *y, int32_t *rows)
{
    convolve(args, ep_bfinish_bits, (size_t)((args->outputs + 31) / 32) * sizeof *y, x, y, rows);
}

void ep_bconv2d_f32(const ep_bconv2d_args *args, const int32_t *x, float *y, int32_t *rows)
{
    convolve(args, ep_bfinish_f32, (size_t)args->outputs * sizeof *y, x, y, rows);
}

void ep_bconv2d_s8(const ep_bconv2d_args *args, const int32_t *x, int8_t *y, int32_t *rows)
{
    convolve(args, ep_bfinish_s8, (size_t)args->outputs * sizeof *y, x, y, rows);
}
