/* ep_conv_s8 for EP_LAYOUT_BLOCKS16X4: windows lie in a ring of padded lines and are multiplied where they lie. */
#include "ep_conv_s8.h"

#include "ep_ring_s8.h"

static ep_rows rows_in(const ep_conv_s8_args *args, const ep_ring *ring)
{
    const ep_window *w = &args->window;
    const int apart = w->dilation_w != 1;
    ep_rows where;
    where.lines = w->kernel_h;
    where.columns = apart ? w->kernel_w : 1;
    where.run = apart ? w->channels : w->kernel_w * w->channels;
    where.slack = 1;
    where.line_step = w->dilation_h * ring->line_bytes;
    where.column_step = (ptrdiff_t)w->dilation_w * w->channels;
    where.row_step = (ptrdiff_t)w->stride_w * w->channels;
    where.ring = ring->lines * ring->line_bytes;
    where.end = ring->memory + where.ring;
    where.flip = 0;
    return where;
}

void ep_conv_s8(const ep_conv_s8_args *args, const int8_t *x, int8_t *y, int8_t *rows)
{
    const ep_window *w = &args->window;
    const ptrdiff_t outputs = args->gemm.outputs;
    ep_ring ring;
    ep_rows where;
    if (ep_is_pointwise(w)) {
        ep_gemm_s8(&args->gemm, x, w->batch * w->out_h * w->out_w, y);
        return;
    }
    ring = ep_ring_of(w, 1, 0, w->channels, args->pad_value, rows);
    where = rows_in(args, &ring);
    for (int32_t b = 0; b < w->batch; b++) {
        for (int32_t j = 0; j < w->out_w; j += EP_SEGMENT) {
            const int32_t count = w->out_w - j < EP_SEGMENT ? w->out_w - j : EP_SEGMENT;
            ep_ring_begin(&ring, j, count);
            for (int32_t i = 0; i < w->out_h; i++) {
                const int32_t top = i * w->stride_h - w->pad_h;
                ep_ring_fill(&ring, x, top);
                ep_gemm_rows_s8(&args->gemm, &where, ep_ring_line(&ring, top), count,
                                y + ((ptrdiff_t)i * w->out_w + j) * outputs);
            }
        }
        x += (ptrdiff_t)w->in_h * w->in_w * w->channels;
        y += w->out_h * w->out_w * outputs;
    }
}
