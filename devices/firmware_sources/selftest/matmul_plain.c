/* Plain C: one multiply-accumulate at a time. */
#include "matmul.h"

void matmul(const int8_t a[ROWS][DEPTH], const int8_t b[COLUMNS][DEPTH], int32_t c[ROWS][COLUMNS])
{
    for (int row = 0; row < ROWS; row++)
        for (int column = 0; column < COLUMNS; column++) {
            int32_t sum = 0;
            for (int k = 0; k < DEPTH; k++) sum += a[row][k] * b[column][k];
            c[row][column] = sum;
        }
}
