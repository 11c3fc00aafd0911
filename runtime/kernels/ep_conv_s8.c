#include "ep_conv_s8.h"

#include "ep_gather.h"

/* A line of pixels, gathered. */
static void gathered(const ep_conv_s8_args *args, const int8_t *image, int32_t i, int8_t *y, int8_t *rows)
{
    const ep_window *w = &args->window;
    const int32_t depth = args->gemm.depth, outputs = args->gemm.outputs;
    const int32_t top = i * w->stride_h - w->pad_h;
    for (int32_t j = 0; j < w->out_w;) {
        const int32_t count = w->out_w - j < EP_GEMM_ROWS ? w->out_w - j : EP_GEMM_ROWS;
        for (int32_t r = 0; r < count; r++)
            ep_gather_s8(w, image, top, (j + r) * w->stride_w - w->pad_w, (int8_t)args->pad_value,
                         rows + (ptrdiff_t)r * depth);
        ep_gemm_s8(&args->gemm, rows, count, y + (ptrdiff_t)j * outputs);
        j += count;
    }
}

void ep_conv_s8(const ep_conv_s8_args *args, const int8_t *x, int8_t *y, int8_t *rows)
{
    const ep_window *w = &args->window;
    const ptrdiff_t line = (ptrdiff_t)w->out_w * args->gemm.outputs;
    if (ep_is_pointwise(w)) {
        ep_gemm_s8(&args->gemm, x, w->batch * w->out_h * w->out_w, y);
        return;
    }
    for (int32_t b = 0; b < w->batch; b++) {
        const int8_t *image = x + (ptrdiff_t)b * w->in_h * w->in_w * w->channels;
        for (int32_t i = 0; i < w->out_h; i++, y += line) gathered(args, image, i, y, rows);
    }
}
