/* Copies of columns of an image: `count` pieces of `bytes` bytes, `step` apart; `from_step` where they come from. */
#ifndef EP_STRIP_H
#define EP_STRIP_H

#include "ep_base.h"

#if defined(EP_TARGET_MVE)

#include <arm_mve.h>

static inline void ep_fill_columns(int8_t *to, ptrdiff_t step, int32_t count, int32_t bytes, int8_t value)
{
    const int8x16_t all = vdupq_n_s8(value);
    for (int32_t k = 0; k < bytes; k += 16) {
        const mve_pred16_t lanes = vctp8q((uint32_t)(bytes - k));
        int8_t *at = to + k;
        for (int32_t n = 0; n < count; n++, at += step) vstrbq_p_s8(at, all, lanes);
    }
}

/* Where bytes n, n + 1, ... of neighbouring columns go; n below 24. */
static inline uint16x8_t ep_spread_mve(uint32_t n, ptrdiff_t step, int32_t bytes)
{
    const uint16x8_t at = vidupq_n_u16(n, 1);
    const uint16x8_t column = vshrq_n_u16(vmulq_n_u16(at, (uint16_t)((255 + bytes) / bytes)), 8);
    return vaddq_u16(at, vmulq_n_u16(column, (uint16_t)(step - bytes)));
}

/* Narrow columns that lie one behind the other: 1, 2, 3, 4 or 8 bytes of each, eight bytes at a time. */
static inline void ep_spread_columns_mve(int8_t *to, ptrdiff_t step, const int8_t *from, int32_t count, int32_t bytes)
{
    const uint16x8_t first = ep_spread_mve(0, step, bytes), second = ep_spread_mve(8, step, bytes);
    const int32_t columns = 8 / bytes;
    int32_t left = count * bytes;
    if (bytes == 3) {
        const uint16x8_t third = ep_spread_mve(16, step, bytes);
        for (; left >= 24; left -= 24, from += 24, to += 8 * step) {
            vstrbq_scatter_offset_s16(to, first, vldrbq_s16(from));
            vstrbq_scatter_offset_s16(to, second, vldrbq_s16(from + 8));
            vstrbq_scatter_offset_s16(to, third, vldrbq_s16(from + 16));
        }
        if (left > 16) {
            const mve_pred16_t lanes = vctp16q((uint32_t)(left - 16));
            vstrbq_scatter_offset_p_s16(to, third, vldrbq_z_s16(from + 16, lanes), lanes);
        }
        if (left > 8) {
            const mve_pred16_t lanes = vctp16q((uint32_t)(left - 8));
            vstrbq_scatter_offset_p_s16(to, second, vldrbq_z_s16(from + 8, lanes), lanes);
        }
    } else {
        for (; left >= 8; left -= 8, from += 8, to += columns * step)
            vstrbq_scatter_offset_s16(to, first, vldrbq_s16(from));
    }
    if (left > 0) {
        const mve_pred16_t lanes = vctp16q((uint32_t)left);
        vstrbq_scatter_offset_p_s16(to, first, vldrbq_z_s16(from, lanes), lanes);
    }
}

static inline void ep_copy_columns(int8_t *to, ptrdiff_t step, const int8_t *from, ptrdiff_t from_step, int32_t count,
                                   int32_t bytes)
{
    int32_t k = 0;
    if ((bytes <= 4 || bytes == 8) && from_step == bytes && step < 4096) {
        ep_spread_columns_mve(to, step, from, count, bytes);
        return;
    }
    for (; k + 16 <= bytes; k += 16) {
        const int8_t *source = from + k;
        int8_t *at = to + k;
        for (int32_t n = 0; n < count; n++, at += step, source += from_step) vstrbq_s8(at, vldrbq_s8(source));
    }
    if (k < bytes) {
        const mve_pred16_t lanes = vctp8q((uint32_t)(bytes - k));
        from += k;
        to += k;
        for (int32_t n = 0; n < count; n++, to += step, from += from_step)
            vstrbq_p_s8(to, vldrbq_z_s8(from, lanes), lanes);
    }
}

#else

#include <string.h>

static inline void ep_fill_columns(int8_t *to, ptrdiff_t step, int32_t count, int32_t bytes, int8_t value)
{
    for (int32_t n = 0; n < count; n++, to += step) memset(to, value, (size_t)bytes);
}

static inline void ep_copy_columns(int8_t *to, ptrdiff_t step, const int8_t *from, ptrdiff_t from_step, int32_t count,
                                   int32_t bytes)
{
    for (int32_t n = 0; n < count; n++, to += step, from += from_step) memcpy(to, from, (size_t)bytes);
}

#endif

#endif
