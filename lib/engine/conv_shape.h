/* Shapes of convolutions, which all engines share. */
#ifndef NNCLR_ENGINE_CONV_SHAPE_H
#define NNCLR_ENGINE_CONV_SHAPE_H

#include "engine/engine.h"

/* What a convolution makes of pictures of this shape, for which it can be planned. */
nnclr_shape nnclr_conv_output(const nnclr_conv *conv, nnclr_shape in);
/* Whether it can be planned: with h, w and c, times taps, and the number of pixels of all pictures
 * within an int. */
bool nnclr_conv_check(const nnclr_conv *conv, nnclr_shape in, nnclr_error *e);

#endif
