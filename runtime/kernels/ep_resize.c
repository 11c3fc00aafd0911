#include "ep_resize.h"

static void pixel(const ep_resize_bilinear_f32_args *args, const float *x, int32_t i, int32_t j, float *y)
{
    const ptrdiff_t line = (ptrdiff_t)args->in_w * args->channels;
    const float *above = x + args->rows[2 * i] * line, *below = x + args->rows[2 * i + 1] * line;
    const ptrdiff_t left = (ptrdiff_t)args->columns[2 * j] * args->channels;
    const ptrdiff_t right = (ptrdiff_t)args->columns[2 * j + 1] * args->channels;
    const float down = args->down[i], over = args->right[j];
    for (int32_t n = 0; n < args->channels; n++) {
        const float top = above[left + n] * (1.0f - over) + above[right + n] * over;
        const float bottom = below[left + n] * (1.0f - over) + below[right + n] * over;
        y[n] = top * (1.0f - down) + bottom * down;
    }
}

void ep_resize_bilinear_f32(const ep_resize_bilinear_f32_args *args, const float *x, float *y)
{
    for (int32_t b = 0; b < args->batch; b++) {
        for (int32_t i = 0; i < args->out_h; i++)
            for (int32_t j = 0; j < args->out_w; j++) {
                pixel(args, x, i, j, y);
                y += args->channels;
            }
        x += (ptrdiff_t)args->in_h * args->in_w * args->channels;
    }
}
