#include "ep_binary_s8.h"

#include "ep_binary_loop.h"

EP_BINARY(ep_maximum_s8, ep_binary_s8_args, int8_t, int8_t, a > b ? a : b)
EP_BINARY(ep_minimum_s8, ep_binary_s8_args, int8_t, int8_t, a < b ? a : b)
