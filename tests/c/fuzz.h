/* fuzz.h: the functions of fuzz.c that other files call. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>

/* Makes one call of csrc/ from these bytes, with at most `most` elements. */
void fuzz_one(const unsigned char *data, size_t size, ptrdiff_t most);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#endif
