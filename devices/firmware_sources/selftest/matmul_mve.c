/* Helium: sixteen bytes a load, VMLADAVA adds sixteen products to a general register. */
#include <arm_mve.h>

#include "matmul.h"

void matmul(const int8_t a[ROWS][DEPTH], const int8_t b[COLUMNS][DEPTH], int32_t c[ROWS][COLUMNS])
{
    for (int row = 0; row < ROWS; row++)
        for (int column = 0; column < COLUMNS; column++) {
            int32_t sum = 0;
            for (int k = 0; k < DEPTH; k += 16)
                sum = vmladavaq_s8(sum, vldrbq_s8(&a[row][k]), vldrbq_s8(&b[column][k]));
            c[row][column] = sum;
        }
}
