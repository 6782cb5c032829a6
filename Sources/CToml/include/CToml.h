// TOML files through toml++ (Debian: libtomlplusplus-dev), flattened for Swift: a list of entries, each with the path of
// its keys. No type of toml++ gets out, so only CToml.cpp pays for its headers.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CTOML_STRING = 0,
    CTOML_INTEGER = 1,
    CTOML_BOOLEAN = 2,
    CTOML_FLOAT = 3,
    /// An array that holds strings only; an empty one counts.
    CTOML_STRINGS = 4,
    /// Followed by the entries of its members.
    CTOML_TABLE = 5,
    /// Dates, times and mixed arrays: valid TOML that no setting takes.
    CTOML_OTHER = 6,
};

typedef struct ctoml_document ctoml_document;

/// Bytes that belong to the document; not terminated.
typedef struct {
    const char *bytes;
    size_t length;
} ctoml_text;

/// One key of the document.
typedef struct {
    int32_t kind;
    /// Place of the key, counted from 1; columns count code points.
    uint32_t line;
    uint32_t column;
    /// Number of keys in the path.
    uint32_t key_count;
    /// Number of strings: 1 for CTOML_STRING, the elements of CTOML_STRINGS.
    uint32_t string_count;
    /// CTOML_INTEGER, and 0 or 1 for CTOML_BOOLEAN.
    int64_t integer;
    double real;
} ctoml_entry;

/// Parses a document of `length` bytes. Never NULL, except when memory runs out; free it with ctoml_free.
ctoml_document *ctoml_parse(const char *text, size_t length);
void ctoml_free(ctoml_document *document);
/// What is wrong with the text and where; false when it was parsed.
bool ctoml_error(const ctoml_document *document, ctoml_text *message, uint32_t *line, uint32_t *column);
size_t ctoml_entry_count(const ctoml_document *document);
/// The entry, tables before their members. `index` must be below the count.
ctoml_entry ctoml_entry_at(const ctoml_document *document, size_t index);
/// Key number `part` in the path of an entry.
ctoml_text ctoml_key(const ctoml_document *document, size_t index, size_t part);
/// String number `part` of an entry.
ctoml_text ctoml_string(const ctoml_document *document, size_t index, size_t part);

#ifdef __cplusplus
}
#endif
