/* fuzz.h: what fuzz.c offers. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>

/* One call of csrc/, made of these bytes, of at most so many elements. */
void fuzz_one(const unsigned char *data, size_t size, ptrdiff_t most);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#endif
