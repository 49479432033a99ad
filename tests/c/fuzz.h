/* fuzz.h: what fuzz.c offers. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>

/* Makes one call of csrc/ of these bytes, with at most so many elements. */
void fuzz_one(const unsigned char *data, size_t size, ptrdiff_t most);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#endif
