// Doubles to and from decimal text, exactly: C++17's <charconv> behind a C header.
//
// Neither function looks at the locale, allocates or throws. WireProtocol and the drivers call them.
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Bytes that cnumbers_format_double may write at most.
enum { CNUMBERS_DOUBLE_BYTE_COUNT_MAX = 32 };

enum {
    CNUMBERS_OK = 0,
    /// The text is not one whole number.
    CNUMBERS_MALFORMED = 1,
    /// The nearest double would be an infinity.
    CNUMBERS_OVERFLOW = 2,
};

/// Writes the shortest digits that read back as the same finite double; always with a point or an exponent.
/// Returns the number of bytes written, without a terminating NUL.
size_t cnumbers_format_double(double value, char *_Nonnull target);

/// Reads the nearest double; what is too small for one is a zero of the same sign.
int cnumbers_parse_double(const char *_Nonnull text, size_t byte_count, double *_Nonnull value);

#ifdef __cplusplus
}
#endif
