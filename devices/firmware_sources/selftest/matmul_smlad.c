/* DSP extension: SXTB16 widens two of four bytes, SMLAD multiplies and adds two pairs at once. */
#include <arm_acle.h>
#include <string.h>

#include "matmul.h"

static inline uint32_t four(const int8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

void matmul(const int8_t a[ROWS][DEPTH], const int8_t b[COLUMNS][DEPTH], int32_t c[ROWS][COLUMNS])
{
    for (int row = 0; row < ROWS; row++)
        for (int column = 0; column < COLUMNS; column++) {
            int32_t sum = 0;
            for (int k = 0; k < DEPTH; k += 4) {
                uint32_t left = four(&a[row][k]), right = four(&b[column][k]);
                sum = __smlad(__sxtb16(left), __sxtb16(right), sum);
                sum = __smlad(__sxtb16(left >> 8), __sxtb16(right >> 8), sum);
            }
            c[row][column] = sum;
        }
}
