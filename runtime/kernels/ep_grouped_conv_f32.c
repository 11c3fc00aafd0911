#include "ep_grouped_conv_f32.h"

#include "ep_gather.h"

/* One group; x and y begin at its first channel. */
static void group(const ep_grouped_conv_f32_args *args, const ep_gemm_f32_args *gemm, const float *x, float *y,
                  float *rows)
{
    const ep_window *w = &args->window;
    const int32_t size = w->channels * (int32_t)sizeof *x, outputs = gemm->outputs;
    float *results = rows + (ptrdiff_t)args->rows * gemm->depth;
    for (int32_t line = 0; line < w->batch * w->out_h; line++) {
        const float *image = x + (ptrdiff_t)(line / w->out_h) * w->in_h * w->in_w * args->groups * w->channels;
        const int32_t top = line % w->out_h * w->stride_h - w->pad_h;
        for (int32_t j = 0; j < w->out_w; j += args->rows) {
            const int32_t count = w->out_w - j < args->rows ? w->out_w - j : args->rows;
            for (int32_t r = 0; r < count; r++)
                ep_gather(w, (const int8_t *)image, top, (j + r) * w->stride_w - w->pad_w, size, args->groups * size, 0,
                          (int8_t *)(rows + (ptrdiff_t)r * gemm->depth));
            ep_gemm_f32(gemm, rows, count, results);
            for (int32_t r = 0; r < count; r++, y += (ptrdiff_t)args->groups * outputs)
                memcpy(y, results + (ptrdiff_t)r * outputs, (size_t)outputs * sizeof *y);
        }
    }
}

void ep_grouped_conv_f32(const ep_grouped_conv_f32_args *args, const float *x, float *y, float *rows)
{
    ep_gemm_f32_args gemm = args->gemm;
    for (int32_t g = 0; g < args->groups; g++) {
        group(args, &gemm, x + (ptrdiff_t)g * args->window.channels, y + (ptrdiff_t)g * gemm.outputs, rows);
        gemm.weights += args->weights_step;
        gemm.bias += args->outputs_step;
    }
}
