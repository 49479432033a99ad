/* minmax.h: the lesser and the greater of two sizes.  The driver and the kernels use this file.  It includes no other
 * file of ours. */
#ifndef FASTLOSS_MINMAX_H
#define FASTLOSS_MINMAX_H

#include <stddef.h>

static inline ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t most(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }

#endif
