// The only file that sees toml++. Errors come back as values (TOML_EXCEPTIONS=0), and what is not used is compiled out:
// the headers are a third of the package's C++ build time.
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_UNRELEASED_FEATURES 0
// Configuration is three levels deep; the parser recurses.
#define TOML_MAX_NESTED_VALUES 32
// parse_key() asserts what only its caller could have checked, and checks it by itself a few lines later: `[=]` in a file
// would end the process, or be undefined behaviour under NDEBUG. Without the assertion it is a syntax error like others.
#undef NDEBUG
#define TOML_ASSERT(expr) static_cast<void>(0)
#include <toml++/toml.h>

#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "CToml.h"

namespace {
struct entry {
    ctoml_entry head{};
    std::vector<std::string> keys;
    std::vector<std::string> strings;
};
}  // namespace

struct ctoml_document {
    std::vector<entry> entries;
    bool failed = false;
    std::string message;
    toml::source_position place{};
};

namespace {
bool take_strings(const toml::array &array, std::vector<std::string> &strings) {
    for (const auto &element : array) {
        const auto *text = element.as_string();
        if (!text) return false;
        strings.push_back(text->get());
    }
    return true;
}

void take_value(const toml::node &node, entry &into) {
    auto &head = into.head;
    head.kind = CTOML_OTHER;
    if (const auto *text = node.as_string()) {
        head.kind = CTOML_STRING;
        into.strings.push_back(text->get());
    } else if (const auto *integer = node.as_integer()) {
        head.kind = CTOML_INTEGER;
        head.integer = integer->get();
    } else if (const auto *boolean = node.as_boolean()) {
        head.kind = CTOML_BOOLEAN;
        head.integer = boolean->get() ? 1 : 0;
    } else if (const auto *real = node.as_floating_point()) {
        head.kind = CTOML_FLOAT;
        head.real = real->get();
    } else if (const auto *array = node.as_array()) {
        if (take_strings(*array, into.strings)) head.kind = CTOML_STRINGS;
    } else if (node.is_table()) {
        head.kind = CTOML_TABLE;
    }
    head.string_count = static_cast<uint32_t>(into.strings.size());
}

// No setting is that deep; a dotted key of a thousand parts must not cost a thousand paths.
constexpr size_t depth_max = 8;

void flatten(const toml::table &table, std::vector<std::string> &path, ctoml_document &document) {
    for (const auto &[key, node] : table) {
        path.emplace_back(key.str());
        entry made;
        made.keys = path;
        made.head.key_count = static_cast<uint32_t>(path.size());
        const auto place = key.source().begin.line > 0 ? key.source().begin : node.source().begin;
        made.head.line = place.line;
        made.head.column = place.column;
        take_value(node, made);
        document.entries.push_back(std::move(made));
        if (const auto *inner = node.as_table(); inner && path.size() < depth_max) flatten(*inner, path, document);
        path.pop_back();
    }
}

ctoml_text view(const std::string &text) { return {text.data(), text.size()}; }
}  // namespace

ctoml_document *ctoml_parse(const char *text, size_t length) {
    auto *document = new (std::nothrow) ctoml_document();
    if (!document) return nullptr;
    auto result = toml::parse(std::string_view(text, length));
    if (!result) {
        document->failed = true;
        document->message = std::string(result.error().description());
        document->place = result.error().source().begin;
        return document;
    }
    std::vector<std::string> path;
    flatten(result.table(), path, *document);
    return document;
}

void ctoml_free(ctoml_document *document) { delete document; }

bool ctoml_error(const ctoml_document *document, ctoml_text *message, uint32_t *line, uint32_t *column) {
    if (!document->failed) return false;
    *message = view(document->message);
    *line = document->place.line;
    *column = document->place.column;
    return true;
}

size_t ctoml_entry_count(const ctoml_document *document) { return document->entries.size(); }

ctoml_entry ctoml_entry_at(const ctoml_document *document, size_t index) { return document->entries[index].head; }

ctoml_text ctoml_key(const ctoml_document *document, size_t index, size_t part) {
    return view(document->entries[index].keys[part]);
}

ctoml_text ctoml_string(const ctoml_document *document, size_t index, size_t part) {
    return view(document->entries[index].strings[part]);
}
