#include "ep_cast.h"

/* Numbers that the type cannot hold become its bounds; what is no number becomes 0. */
static int64_t whole(float value, float low, float high, int64_t lowest, int64_t highest)
{
    if (value != value) return 0;
    if (value <= low) return lowest;
    return value >= high ? highest : (int64_t)value;
}

#define WHOLE_32(value) (int32_t) whole(value, -2147483648.0f, 2147483648.0f, INT32_MIN, INT32_MAX)
#define WHOLE_64(value) whole(value, -9223372036854775808.0f, 9223372036854775808.0f, INT64_MIN, INT64_MAX)

#define CAST(name, from, to, expression)                                        \
    EP_CAST_DECLARED(name, from, to)                                            \
    {                                                                           \
        for (int32_t i = 0; i < args->count; i++) y[i] = (to)(expression);      \
    }

CAST(ep_cast_f32_s32, float, int32_t, WHOLE_32(x[i]))
CAST(ep_cast_f32_s64, float, int64_t, WHOLE_64(x[i]))
CAST(ep_cast_f32_u8, float, uint8_t, x[i] != 0)
CAST(ep_cast_s32_f32, int32_t, float, x[i])
CAST(ep_cast_s32_s64, int32_t, int64_t, x[i])
CAST(ep_cast_s32_u8, int32_t, uint8_t, x[i] != 0)
CAST(ep_cast_s64_f32, int64_t, float, x[i])
CAST(ep_cast_s64_s32, int64_t, int32_t, (uint32_t)x[i])
CAST(ep_cast_s64_u8, int64_t, uint8_t, x[i] != 0)
CAST(ep_cast_u8_f32, uint8_t, float, x[i])
CAST(ep_cast_u8_s32, uint8_t, int32_t, x[i])
CAST(ep_cast_u8_s64, uint8_t, int64_t, x[i])
