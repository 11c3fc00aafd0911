/* Walking several tensors along the same axes. The last axis is the caller's inner loop. */
#ifndef EP_STRIDES_H
#define EP_STRIDES_H

#include "ep_base.h"

/* Lengths of the axes in front of the last, 1 where there are fewer; steps of up to three operands and the result. */
typedef struct {
    int32_t length[EP_RANK];
    int32_t step[4][EP_RANK];
} ep_strides;

typedef struct {
    int32_t at[EP_RANK];
    ptrdiff_t offset[4];
} ep_walk;

static inline ep_walk ep_walk_begin(void)
{
    ep_walk walk = {{0}, {0}};
    return walk;
}

/* One step along all axes but the last; 0 when every place was visited. */
static inline int ep_walk_next(const ep_strides *s, ep_walk *walk)
{
    for (int32_t axis = EP_RANK - 2; axis >= 0; axis--) {
        for (int32_t i = 0; i < 4; i++) walk->offset[i] += s->step[i][axis];
        if (++walk->at[axis] < s->length[axis]) return 1;
        walk->at[axis] = 0;
        for (int32_t i = 0; i < 4; i++) walk->offset[i] -= (ptrdiff_t)s->step[i][axis] * s->length[axis];
    }
    return 0;
}

#endif
