/* Instructions of Cortex-M's DSP extension, and the same in plain C: a word is two 16-bit lanes or four bytes.
 *
 * A pair is two int16 in one word. Four bytes b0 b1 b2 b3 become two pairs by sign extension of every other byte,
 * (b0, b2) and (b1, b3): the order in which the kernels of EP_LAYOUT_SMLAD walk inputs and weights. */
#ifndef EP_DSP_H
#define EP_DSP_H

#include <string.h>

#include "ep_base.h"

static inline int32_t ep_lane(int32_t word, int32_t upper) { return (int16_t)((uint32_t)word >> (16 * upper)); }

static inline int32_t ep_lanes(int32_t lower, int32_t upper)
{
    return (int32_t)(((uint32_t)lower & 0xFFFF) | (uint32_t)upper << 16);
}

#if defined(EP_TARGET_SMLAD)

#define EP_DSP_TWO(name, instruction)                                      \
    static inline int32_t name(int32_t a, int32_t b)                       \
    {                                                                      \
        int32_t y;                                                         \
        __asm__(instruction : "=r"(y) : "r"(a), "r"(b));                   \
        return y;                                                          \
    }

#define EP_DSP_ONE(name, instruction, rest)                                \
    static inline int32_t name(int32_t a)                                  \
    {                                                                      \
        int32_t y;                                                         \
        __asm__(instruction " %1" rest : "=r"(y) : "r"(a));                \
        return y;                                                          \
    }

#define EP_DSP_ACCUMULATE(name, instruction)                               \
    static inline int32_t name(int32_t a, int32_t b, int32_t acc)          \
    {                                                                      \
        __asm__(instruction " %0, %1, %2, %0" : "+r"(acc) : "r"(a), "r"(b)); \
        return acc;                                                        \
    }

#else

static inline int32_t ep_add_wrapping(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

static inline int32_t ep_clip(int64_t value, int32_t low, int32_t high)
{
    return (int32_t)(value < low ? low : value > high ? high : value);
}

#endif

#if defined(EP_TARGET_SMLAD)

EP_DSP_ACCUMULATE(ep_smlad, "smlad")
EP_DSP_ACCUMULATE(ep_smlabb, "smlabb")
EP_DSP_ACCUMULATE(ep_smlatt, "smlatt")
EP_DSP_ACCUMULATE(ep_smlabt, "smlabt")
EP_DSP_ACCUMULATE(ep_smlatb, "smlatb")
EP_DSP_TWO(ep_smmulr, "smmulr %0, %1, %2")
EP_DSP_TWO(ep_qadd, "qadd %0, %1, %2")
EP_DSP_TWO(ep_lower_lanes, "pkhbt %0, %1, %2, lsl #16")
EP_DSP_TWO(ep_upper_lanes, "pkhtb %0, %2, %1, asr #16")
EP_DSP_ONE(ep_sxtb16, "sxtb16 %0,", "")
EP_DSP_ONE(ep_sxtb16_ror8, "sxtb16 %0,", ", ror #8")
EP_DSP_ONE(ep_ssat8, "ssat %0, #8,", "")

#else

/* acc + a0 b0 + a1 b1, modulo 2^32. */
static inline int32_t ep_smlad(int32_t a, int32_t b, int32_t acc)
{
    const int32_t first = ep_lane(a, 0) * ep_lane(b, 0), second = ep_lane(a, 1) * ep_lane(b, 1);
    return ep_add_wrapping(acc, ep_add_wrapping(first, second));
}

static inline int32_t ep_smlabb(int32_t a, int32_t b, int32_t acc)
{
    return ep_add_wrapping(acc, ep_lane(a, 0) * ep_lane(b, 0));
}

static inline int32_t ep_smlatt(int32_t a, int32_t b, int32_t acc)
{
    return ep_add_wrapping(acc, ep_lane(a, 1) * ep_lane(b, 1));
}

static inline int32_t ep_smlabt(int32_t a, int32_t b, int32_t acc)
{
    return ep_add_wrapping(acc, ep_lane(a, 0) * ep_lane(b, 1));
}

static inline int32_t ep_smlatb(int32_t a, int32_t b, int32_t acc)
{
    return ep_add_wrapping(acc, ep_lane(a, 1) * ep_lane(b, 0));
}

/* The upper half of a b, rounded half up. */
static inline int32_t ep_smmulr(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 31)) >> 32);
}

static inline int32_t ep_qadd(int32_t a, int32_t b) { return ep_clip((int64_t)a + b, INT32_MIN, INT32_MAX); }

static inline int32_t ep_lower_lanes(int32_t a, int32_t b) { return ep_lanes(a, b); }

static inline int32_t ep_upper_lanes(int32_t a, int32_t b) { return ep_lanes(ep_lane(a, 1), ep_lane(b, 1)); }

static inline int32_t ep_sxtb16(int32_t word)
{
    return ep_lanes((int8_t)word, (int8_t)((uint32_t)word >> 16));
}

static inline int32_t ep_sxtb16_ror8(int32_t word)
{
    return ep_lanes((int8_t)((uint32_t)word >> 8), (int8_t)((uint32_t)word >> 24));
}

static inline int32_t ep_ssat8(int32_t value) { return ep_clip(value, -128, 127); }

#endif

/* Four bytes from anywhere; the cores load unaligned words. */
static inline int32_t ep_word(const int8_t *from)
{
    int32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

#endif
