/* ep_vec.h against ep_requant.h, average pools against divisions: exit code 0 if all integers are the same, 2 if the
 * target has no vectors. What differs first is printed. */
#include <stdio.h>
#include <string.h>

#include "ep_pool_s8.h"
#include "ep_vec.h"

#if defined(EP_VEC_LANES)

enum { ROUNDS = 400000 };

static uint32_t state = 1;

static uint32_t next(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* Values of all magnitudes, their neighbours, and the extremes. */
static int32_t some(void)
{
    const uint32_t kind = next() % 4;
    const int32_t power = (int32_t)(UINT32_C(1) << (next() % 31));
    if (kind == 0) return (int32_t)next();
    if (kind == 1) return (next() & 1 ? power : -power) + (int32_t)(next() % 3) - 1;
    if (kind == 2) return (int32_t)(next() % 131072) - 65536;
    return next() & 1 ? INT32_MAX - (int32_t)(next() % 3) : INT32_MIN + (int32_t)(next() % 3);
}

static int32_t some_multiplier(void)
{
    const uint32_t kind = next() % 8;
    if (kind == 0) return 0;
    if (kind == 1) return 1 << 30;
    if (kind == 2) return INT32_MAX;
    return (int32_t)((UINT32_C(1) << 30) | (next() >> 2));
}

static int check_rescale(int32_t lowest, int32_t highest)
{
    int32_t acc[EP_VEC_LANES], multiplier[EP_VEC_LANES], shift[EP_VEC_LANES], found[EP_VEC_LANES];
    for (int32_t round = 0; round < ROUNDS; round++) {
        ep_vec_scale scale;
        ep_vec y;
        for (int32_t i = 0; i < EP_VEC_LANES; i++) {
            acc[i] = some();
            multiplier[i] = some_multiplier();
            shift[i] = lowest + (int32_t)(next() % (uint32_t)(highest - lowest + 1));
        }
        scale = round % 2 ? ep_vec_scale_load(multiplier, shift) : ep_vec_scale_set1(multiplier[0], shift[0]);
        y = ep_vec_rescale(ep_vec_load_s32(acc), &scale);
        memcpy(found, &y, sizeof found);
        for (int32_t i = 0; i < EP_VEC_LANES; i++) {
            const int32_t j = round % 2 ? i : 0, expected = ep_rescale(acc[i], multiplier[j], shift[j]);
            if (found[i] == expected) continue;
            printf("%ld * %ld * 2^(%ld - 31): %ld, not %ld\n", (long)acc[i], (long)multiplier[j], (long)shift[j],
                   (long)found[i], (long)expected);
            return 1;
        }
    }
    return 0;
}

static int32_t expected_of(int32_t what, int32_t a, int32_t b)
{
    const uint32_t x = (uint32_t)a, z = (uint32_t)b;
    if (what == 0) return (int32_t)(x + z);
    if (what == 1) return (int32_t)(x - z);
    if (what == 2) return (int32_t)(x * z);
    if (what == 3) return a > b ? a : b;
    return what == 4 ? (a < b ? a : b) : (int32_t)(x << 7);
}

static ep_vec found_of(int32_t what, ep_vec a, ep_vec b)
{
    if (what == 0) return ep_vec_add(a, b);
    if (what == 1) return ep_vec_sub(a, b);
    if (what == 2) return ep_vec_mul(a, b);
    if (what == 3) return ep_vec_max(a, b);
    return what == 4 ? ep_vec_min(a, b) : ep_vec_shl(a, 7);
}

static int check_lanes(void)
{
    int32_t a[EP_VEC_LANES], b[EP_VEC_LANES], found[EP_VEC_LANES];
    for (int32_t round = 0; round < 6000; round++) {
        ep_vec y;
        for (int32_t i = 0; i < EP_VEC_LANES; i++) {
            a[i] = some();
            b[i] = some();
        }
        y = found_of(round % 6, ep_vec_load_s32(a), ep_vec_load_s32(b));
        memcpy(found, &y, sizeof found);
        for (int32_t i = 0; i < EP_VEC_LANES; i++)
            if (found[i] != expected_of(round % 6, a[i], b[i])) {
                printf("function %ld of %ld and %ld: %ld\n", (long)(round % 6), (long)a[i], (long)b[i], (long)found[i]);
                return 1;
            }
    }
    return 0;
}

/* Bytes in and out; one byte behind the last must stay. */
static int check_bytes(void)
{
    int8_t from[EP_VEC_LANES], to[EP_VEC_LANES + 1];
    for (int32_t round = 0; round < 6000; round++) {
        const int32_t zero = (int32_t)(next() % 256) - 128, low = (int32_t)(next() % 128) - 128;
        const int32_t high = low + (int32_t)(next() % (uint32_t)(128 - low)), factor = (int32_t)(next() % 100000);
        for (int32_t i = 0; i < EP_VEC_LANES; i++) from[i] = (int8_t)next();
        to[EP_VEC_LANES] = 77;
        ep_vec_store_s8(to, ep_vec_mul(ep_vec_load_s8(from), ep_vec_set1(factor)), zero, low, high);
        for (int32_t i = 0; i < EP_VEC_LANES; i++)
            if (to[i] != ep_clamp_s8(zero + from[i] * factor, low, high) || to[EP_VEC_LANES] != 77) {
                printf("stored %d of %d * %ld\n", to[i], from[i], (long)factor);
                return 1;
            }
    }
    return 0;
}

enum { PIXELS = 300 };

/* Global pools of all sizes to PIXELS over values that give ties as often as not. */
static int check_pools(void)
{
    static int8_t x[PIXELS * EP_VEC_LANES];
    int8_t y[EP_VEC_LANES];
    for (int32_t count = 1; count <= PIXELS; count++)
        for (int32_t zero = -128; zero < 128; zero += 51) {
            const ep_window window = {1, 1, count, EP_VEC_LANES, 1, 1, 1, count, 1, 1, 1, 1, 0, 0};
            const ep_average_pool_s8_args args = {window, -128, 127, zero};
            const int32_t spread = 1 + (int32_t)(next() % 4) * 85;
            for (int32_t i = 0; i < count * EP_VEC_LANES; i++)
                x[i] = (int8_t)(spread == 1 ? zero : (int32_t)(next() % (uint32_t)spread) - spread / 2);
            for (int32_t i = 0; i < EP_VEC_LANES; i++) x[i] = (int8_t)((count / 2 + i) % 128);
            ep_average_pool_s8(&args, x, y);
            for (int32_t i = 0; i < EP_VEC_LANES; i++) {
                int32_t total = 0, mean;
                for (int32_t j = 0; j < count; j++) total += x[j * EP_VEC_LANES + i] - zero;
                mean = total > 0 ? (total + count / 2) / count : -((-total + count / 2) / count);
                if (y[i] != ep_clamp_s8(zero + mean, -128, 127)) {
                    printf("mean %d of %ld / %ld from %ld\n", y[i], (long)total, (long)count, (long)zero);
                    return 1;
                }
            }
        }
    return 0;
}

int main(void)
{
    return check_lanes() || check_bytes() || check_rescale(-31, -1) || check_rescale(-31, 31) || check_rescale(1, 31) ||
           check_rescale(0, 0) || check_pools();
}

#else

int main(void) { return 2; }

#endif
