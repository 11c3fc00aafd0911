/* Signs as bits: [rows, channels] of numbers <-> words of 32. Channel c is bit c % 32 of word c / 32, 1 for -1; bits
 * that no channel has are 0. */
#ifndef EP_BITS_H
#define EP_BITS_H

#include "ep_base.h"

/* Words that hold the signs of so many channels. */
static inline int32_t ep_words(int32_t channels) { return (channels + 31) / 32; }

/* A number is -1 if it is less than the zero of its channel: `zeros` has one a channel, or is NULL for `zero`. */
typedef struct {
    int32_t rows, channels;
    float zero;
    const float *zeros;
} ep_bits_pack_f32_args;

typedef struct {
    int32_t rows, channels;
    int32_t zero;
    const int8_t *zeros;
} ep_bits_pack_s8_args;

void ep_bits_pack_f32(const ep_bits_pack_f32_args *args, const float *x, int32_t *y);
void ep_bits_pack_s8(const ep_bits_pack_s8_args *args, const int8_t *x, int32_t *y);

/* What bits 0 and 1 become. */
typedef struct {
    int32_t rows, channels;
    float plus, minus;
} ep_bits_unpack_f32_args;

typedef struct {
    int32_t rows, channels;
    int32_t plus, minus;
} ep_bits_unpack_s8_args;

void ep_bits_unpack_f32(const ep_bits_unpack_f32_args *args, const int32_t *x, float *y);
void ep_bits_unpack_s8(const ep_bits_unpack_s8_args *args, const int32_t *x, int8_t *y);

#endif
