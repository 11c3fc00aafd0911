/* Bits that are 1 in a word. */
#ifndef EP_POPCOUNT_H
#define EP_POPCOUNT_H

#include "ep_base.h"

static inline uint32_t ep_popcount(uint32_t v)
{
    v = v - (v >> 1 & UINT32_C(0x55555555));
    v = (v & UINT32_C(0x33333333)) + (v >> 2 & UINT32_C(0x33333333));
    v = (v + (v >> 4)) & UINT32_C(0x0F0F0F0F);
    return v * UINT32_C(0x01010101) >> 24;
}

#if (defined(__POPCNT__) && defined(__x86_64__)) || (defined(__aarch64__) && defined(__GNUC__))
static inline uint32_t ep_popcount64(uint64_t v) { return (uint32_t)__builtin_popcountll(v); }
#else
static inline uint32_t ep_popcount64(uint64_t v)
{
    v = v - (v >> 1 & UINT64_C(0x5555555555555555));
    v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
    v = (v + (v >> 4)) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    return (uint32_t)(v * UINT64_C(0x0101010101010101) >> 56);
}
#endif

#endif
