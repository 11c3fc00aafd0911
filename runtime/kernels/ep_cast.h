/* Conversions between number types: floats lose their fraction, truth is a byte, 0 or 1. */
#ifndef EP_CAST_H
#define EP_CAST_H

#include "ep_base.h"

typedef struct {
    int32_t count;
} ep_cast_args;

#define EP_CAST_DECLARED(name, from, to) void name(const ep_cast_args *args, const from *x, to *y)

EP_CAST_DECLARED(ep_cast_f32_s32, float, int32_t);
EP_CAST_DECLARED(ep_cast_f32_s64, float, int64_t);
EP_CAST_DECLARED(ep_cast_f32_u8, float, uint8_t);
EP_CAST_DECLARED(ep_cast_s32_f32, int32_t, float);
EP_CAST_DECLARED(ep_cast_s32_s64, int32_t, int64_t);
EP_CAST_DECLARED(ep_cast_s32_u8, int32_t, uint8_t);
EP_CAST_DECLARED(ep_cast_s64_f32, int64_t, float);
EP_CAST_DECLARED(ep_cast_s64_s32, int64_t, int32_t);
EP_CAST_DECLARED(ep_cast_s64_u8, int64_t, uint8_t);
EP_CAST_DECLARED(ep_cast_u8_f32, uint8_t, float);
EP_CAST_DECLARED(ep_cast_u8_s32, uint8_t, int32_t);
EP_CAST_DECLARED(ep_cast_u8_s64, uint8_t, int64_t);

#endif
