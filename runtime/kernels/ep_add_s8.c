#include "ep_add_s8.h"

static inline int32_t side(int32_t value, int32_t zero, ep_scale scale)
{
    return ep_rounding_shift(ep_high_product((value - zero) * (1 << 20), scale.multiplier), -scale.shift);
}

static inline int8_t sum(const ep_add_s8_args *args, int8_t a, int8_t b)
{
    const int32_t left = side(a, args->zero_a, args->scale_a), right = side(b, args->zero_b, args->scale_b);
    const int32_t y = ep_rescale(left + args->sign * right, args->scale_y.multiplier, args->scale_y.shift);
    return ep_clamp_s8(args->zero + y, args->low, args->high);
}

#if defined(EP_TARGET_AVX512VNNI)

#include "ep_requant_avx512.h"

static inline ep_scale_avx512 broadcast(ep_scale scale)
{
    int32_t multiplier[16], shift[16];
    for (int32_t i = 0; i < 16; i++) {
        multiplier[i] = scale.multiplier;
        shift[i] = scale.shift;
    }
    return ep_load_scale_avx512(multiplier, shift);
}

static inline __m512i side_of(const int8_t *x, int32_t zero, const ep_scale_avx512 *scale)
{
    const __m512i value = _mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)x));
    return ep_rescale_avx512(scale, _mm512_slli_epi32(_mm512_sub_epi32(value, _mm512_set1_epi32(zero)), 20));
}

/* The first multiple of sixteen elements; gives how many that are. */
static int32_t many(const ep_add_s8_args *args, const int8_t *a, const int8_t *b, int32_t count, int8_t *y)
{
    const ep_scale_avx512 scale_a = broadcast(args->scale_a), scale_b = broadcast(args->scale_b);
    const ep_scale_avx512 scale_y = broadcast(args->scale_y);
    int32_t i = 0;
    for (; i + 16 <= count; i += 16) {
        const __m512i left = side_of(a + i, args->zero_a, &scale_a), right = side_of(b + i, args->zero_b, &scale_b);
        const __m512i both = args->sign > 0 ? _mm512_add_epi32(left, right) : _mm512_sub_epi32(left, right);
        ep_store_avx512(&scale_y, both, args->zero, args->low, args->high, 0xFFFF, y + i);
    }
    return i;
}

#else

static int32_t many(const ep_add_s8_args *args, const int8_t *a, const int8_t *b, int32_t count, int8_t *y)
{
    (void)args, (void)a, (void)b, (void)count, (void)y;
    return 0;
}

#endif

void ep_add_s8(const ep_add_s8_args *args, const int8_t *a, const int8_t *b, int8_t *y)
{
    const ep_strides *s = &args->strides;
    const int32_t last = EP_RANK - 1, count = s->length[last], step_a = s->step[0][last], step_b = s->step[1][last];
    ep_walk walk = ep_walk_begin();
    do {
        const int8_t *pa = a + walk.offset[0], *pb = b + walk.offset[1];
        int8_t *py = y + walk.offset[3];
        if (step_a == 1 && step_b == 1)
            for (int32_t i = many(args, pa, pb, count, py); i < count; i++) py[i] = sum(args, pa[i], pb[i]);
        else
            for (int32_t i = 0; i < count; i++) py[i] = sum(args, pa[i * step_a], pb[i * step_b]);
    } while (ep_walk_next(s, &walk));
}
