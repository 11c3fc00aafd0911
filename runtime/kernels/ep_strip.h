/* Copies of columns of an image: `count` pieces of `bytes` bytes, `step` apart. */
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

static inline void ep_copy_columns(int8_t *to, ptrdiff_t step, const int8_t *from, ptrdiff_t from_step, int32_t count,
                                   int32_t bytes)
{
    int32_t k = 0;
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
