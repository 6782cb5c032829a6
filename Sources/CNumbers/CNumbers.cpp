// Doubles to and from decimal text; see CNumbers.h.
#include "CNumbers.h"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

/// Plain digits between these magnitudes, an exponent outside of them: as Python and most JSON writers do.
constexpr double fixed_min = 1e-5;
constexpr double fixed_max = 1e16;

/// Numbers with at most six digits behind the point, as prices and measures have, ten times as fast as the general way.
///
/// `units` / 10^6, rounded correctly as IEEE 754 divides, is `value`, so its digits read back as `value`. They are at most 15,
/// and two decimals of at most 15 digits never read as the same double, so there are no shorter ones (DBL_DIG, <float.h>).
/// Returns the number of bytes written; 0 for every other number.
size_t format_short(double value, double magnitude, char *target) {
    constexpr double scale = 1e6;
    constexpr int fraction_digits = 6;
    if (magnitude < fixed_min || magnitude >= 1e9) return 0;
    const double scaled = magnitude * scale;
    const auto units = static_cast<uint64_t>(scaled);
    if (static_cast<double>(units) != scaled || static_cast<double>(units) / scale != magnitude) return 0;
    char *at = target;
    if (value < 0) *at++ = '-';
    at = std::to_chars(at, target + CNUMBERS_DOUBLE_BYTE_COUNT_MAX, units / 1'000'000).ptr;
    *at++ = '.';
    auto fraction = static_cast<uint32_t>(units % 1'000'000);
    int digits = fraction_digits;
    while (digits > 1 && fraction % 10 == 0) {
        fraction /= 10;
        --digits;
    }
    for (int i = digits - 1; i >= 0; --i) {
        at[i] = static_cast<char>('0' + fraction % 10);
        fraction /= 10;
    }
    return static_cast<size_t>(at + digits - target);
}

/// Whether a number that no double can hold is too large (rather than too small), from the place of its first digit.
bool is_huge(const char *first, const char *last) {
    constexpr long place_max = 1'000'000'000;
    long place = 0;  // the decimal exponent of the first digit that is not zero
    bool seen = false;
    bool after_point = false;
    const char *at = first;
    for (; at != last && *at != 'e' && *at != 'E'; ++at) {
        if (*at == '.') {
            after_point = true;
        } else if (*at >= '0' && *at <= '9') {
            if (after_point && !seen) --place;
            if (*at != '0') seen = true;
            if (!after_point && seen) ++place;
        }
    }
    if (at == last) return place > 0;
    ++at;
    bool negative = false;
    if (at != last && (*at == '+' || *at == '-')) negative = *at++ == '-';
    long exponent = 0;
    for (; at != last && exponent < place_max; ++at) exponent = exponent * 10 + (*at - '0');
    return (negative ? place - exponent : place + exponent) > 0;
}

}  // namespace

extern "C" size_t cnumbers_format_double(double value, char *target) {
    const double magnitude = std::fabs(value);
    if (const size_t byte_count = format_short(value, magnitude, target)) return byte_count;
    const bool fixed = magnitude == 0 || (magnitude >= fixed_min && magnitude < fixed_max);
    // Two bytes are kept back for ".0".
    char *const limit = target + CNUMBERS_DOUBLE_BYTE_COUNT_MAX - 2;
    auto result = std::to_chars(target, limit, value, fixed ? std::chars_format::fixed : std::chars_format::scientific);
    char *end = result.ptr;
    if (fixed && std::memchr(target, '.', static_cast<size_t>(end - target)) == nullptr) {
        *end++ = '.';
        *end++ = '0';
    }
    return static_cast<size_t>(end - target);
}

extern "C" int cnumbers_parse_double(const char *text, size_t byte_count, double *value) {
    const char *const last = text + byte_count;
    const auto result = std::from_chars(text, last, *value);
    if (result.ptr != last || result.ec == std::errc::invalid_argument) return CNUMBERS_MALFORMED;
    if (result.ec == std::errc::result_out_of_range) {
        if (is_huge(text, last)) return CNUMBERS_OVERFLOW;
        *value = text[0] == '-' ? -0.0 : 0.0;
    }
    return CNUMBERS_OK;
}
