/* Depthwise windows of 3 x 3 taps for the DSP extension, channel by channel: bands of four channels are taken apart into
 * planes of int16, so that neighbours of a line lie in one word and two pixels share what they load. */
#ifndef EP_DEPTHWISE_3X3_SMLAD_H
#define EP_DEPTHWISE_3X3_SMLAD_H

#include "ep_depthwise_s8.h"

#if EP_LAYOUT == EP_LAYOUT_SMLAD
/* One image, in bands of args->band lines, before results are clamped; `planes` is what the exporter reserves:
 * export/c/layout_smlad.py. */
void ep_depthwise_3x3_smlad(const ep_depthwise_s8_args *args, const int8_t *x, int8_t *y, int32_t *planes);
#endif

#endif
