/* stream.h: writes the rows of a large output around the caches, a whole line at a time.
 *
 * store.h stores a large gradient with this file.  Streaming stores leave the caches to the input, and they do not read
 * the lines that they overwrite.  But a part of a line costs as much as many whole lines.  A row arrives a tile at a
 * time, and it may start anywhere in a line.  So bytes that do not fill a line are held back until the row goes on.
 * With streaming stores, value and gradient of cross entropy take 0.8 of the time (docs/internals/kernels.md).  This
 * file knows bytes, not numbers.
 */
#ifndef FASTLOSS_STREAM_H
#define FASTLOSS_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FL_LINE = 64 };

typedef struct {
    char *end;      /* the address at which the row goes on */
    size_t held;    /* how many bytes before `end` are not written yet; they begin where a line begins */
    char line[FL_LINE];
} stream;

#if defined(__SSE2__)
#include <emmintrin.h>
static inline void stream_line(char *out, const char *in) {
    for (int k = 0; k < FL_LINE; k += 16)
        _mm_stream_si128((__m128i *)(void *)(out + k), _mm_loadu_si128((const __m128i *)(const void *)(in + k)));
}
static void stream_fence(void) { _mm_sfence(); }
#else
static inline void stream_line(char *out, const char *in) { memcpy(out, in, FL_LINE); }
static void stream_fence(void) {}
#endif

/* Writes the bytes that are held back. */
static void stream_flush(stream *s) {
    if (s->held == 0) return;
    memcpy(s->end - s->held, s->line, s->held);
    s->held = 0;
}

/* Writes n bytes to `out`; the last of them may be held back. */
static void stream_bytes(stream *s, char *out, const char *in, size_t n) {
    if (s->held && s->end != out) stream_flush(s);
    size_t to_line = (size_t)(-(uintptr_t)out & (FL_LINE - 1)), head = to_line < n ? to_line : n, i = head;
    if (s->held) {
        memcpy(s->line + s->held, in, head);
        s->held += head;
        if (s->held == FL_LINE) {
            stream_line(out + head - FL_LINE, s->line);
            s->held = 0;
        }
    } else {
        memcpy(out, in, head);
    }
    for (; i + FL_LINE <= n; i += FL_LINE) stream_line(out + i, in + i);
    if (i < n) {
        memcpy(s->line, in + i, n - i);
        s->held = n - i;
    }
    s->end = out + n;
}

#endif
