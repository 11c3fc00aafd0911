/* C = A * B with int8 in and int32 out; B is given transposed, so that rows meet rows. */
#ifndef EDGEPRESS_MATMUL_H
#define EDGEPRESS_MATMUL_H

#include <stdint.h>

enum { ROWS = 16, DEPTH = 128, COLUMNS = 32 };

void matmul(const int8_t a[ROWS][DEPTH], const int8_t b[COLUMNS][DEPTH], int32_t c[ROWS][COLUMNS]);

#endif
