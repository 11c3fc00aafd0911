#include "ep_conv_f32.h"

#include "ep_gather.h"

void ep_conv_f32(const ep_conv_f32_args *args, const float *x, float *y, float *rows)
{
    const ep_window *w = &args->window;
    const int32_t pixels = w->out_h * w->out_w, depth = args->gemm.depth, outputs = args->gemm.outputs;
    const int32_t size = w->channels * (int32_t)sizeof *x; /* of a pixel; floats of bytes 0 are 0.0 */
    if (ep_is_pointwise(w)) {
        ep_gemm_f32(&args->gemm, x, w->batch * pixels, y);
        return;
    }
    for (int32_t b = 0; b < w->batch; b++) {
        const int8_t *image = (const int8_t *)(x + (ptrdiff_t)b * w->in_h * w->in_w * w->channels);
        int32_t held = 0;
        for (int32_t i = 0; i < w->out_h; i++)
            for (int32_t j = 0; j < w->out_w; j++) {
                const int32_t top = i * w->stride_h - w->pad_h, left = j * w->stride_w - w->pad_w;
                ep_gather(w, image, top, left, size, size, 0, (int8_t *)(rows + (ptrdiff_t)held * depth));
                if (++held == EP_FLOAT_ROWS) {
                    ep_gemm_f32(&args->gemm, rows, held, y);
                    y += (ptrdiff_t)held * outputs;
                    held = 0;
                }
            }
        ep_gemm_f32(&args->gemm, rows, held, y);
        y += (ptrdiff_t)held * outputs;
    }
}
