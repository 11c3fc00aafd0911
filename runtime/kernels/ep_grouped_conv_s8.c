#include "ep_grouped_conv_s8.h"

#include "ep_gather.h"

/* One group; x and y begin at its first channel. */
static void group(const ep_grouped_conv_s8_args *args, const ep_gemm_s8_args *gemm, const int8_t *x, int8_t *y,
                  int8_t *rows)
{
    const ep_window *w = &args->window;
    const int32_t step = args->groups * w->channels, depth = gemm->depth, outputs = gemm->outputs;
    int8_t *results = rows + (ptrdiff_t)args->rows * depth;
    for (int32_t line = 0; line < w->batch * w->out_h; line++) {
        const int8_t *image = x + (ptrdiff_t)(line / w->out_h) * w->in_h * w->in_w * step;
        const int32_t top = line % w->out_h * w->stride_h - w->pad_h;
        for (int32_t j = 0; j < w->out_w; j += args->rows) {
            const int32_t count = w->out_w - j < args->rows ? w->out_w - j : args->rows;
            for (int32_t r = 0; r < count; r++)
                ep_gather(w, image, top, (j + r) * w->stride_w - w->pad_w, w->channels, step, (int8_t)args->pad_value,
                          rows + (ptrdiff_t)r * depth);
            ep_gemm_s8(gemm, rows, count, results);
            for (int32_t r = 0; r < count; r++, y += (ptrdiff_t)args->groups * outputs)
                ep_copy_s8(y, results + (ptrdiff_t)r * outputs, outputs);
        }
    }
}

void ep_grouped_conv_s8(const ep_grouped_conv_s8_args *args, const int8_t *x, int8_t *y, int8_t *rows)
{
    ep_gemm_s8_args gemm = args->gemm;
    for (int32_t g = 0; g < args->groups; g++) {
        group(args, &gemm, x + (ptrdiff_t)g * args->window.channels, y + (ptrdiff_t)g * gemm.outputs, rows);
        gemm.weights += args->weights_step;
#if EP_LAYOUT == EP_LAYOUT_SMLAD
        gemm.scales += (ptrdiff_t)args->outputs_step * EP_SCALE_WORDS;
#else
        gemm.bias += args->outputs_step;
        gemm.multiplier += args->outputs_step;
        gemm.shift += args->outputs_step;
#endif
    }
}
