// A spreadsheet of one sheet (.xlsx) by libxlsxwriter, which is opened at run time: only the command that writes one loads it.
//
// Rows are written from the first to the last, and are not kept in memory. Thread: one at a time.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cspreadsheet cspreadsheet;

/// How a date or a time is shown.
typedef enum {
    CSPREADSHEET_DATE,
    CSPREADSHEET_TIME,
    CSPREADSHEET_MOMENT,
} cspreadsheet_moment;

/// Rows and columns that a sheet may have, and characters (of UTF-16) of a text.
enum {
    CSPREADSHEET_ROW_COUNT_MAX = 1048576,
    CSPREADSHEET_COLUMN_COUNT_MAX = 16384,
    CSPREADSHEET_TEXT_LENGTH_MAX = 32767,
};

/// Whether the library is installed, and has what is needed.
bool cspreadsheet_is_available(void);
/// Begins a file. NULL without the library, or without memory.
cspreadsheet *cspreadsheet_open(const char *path);
/// Writes a value; rows and columns count from 0. Returns NULL, or what is wrong.
const char *cspreadsheet_write_text(cspreadsheet *sheet, uint32_t row, uint16_t column, const char *text, bool is_heading);
const char *cspreadsheet_write_number(cspreadsheet *sheet, uint32_t row, uint16_t column, double value);
const char *cspreadsheet_write_bool(cspreadsheet *sheet, uint32_t row, uint16_t column, bool value);
/// A time of day has the year 0.
const char *cspreadsheet_write_moment(
    cspreadsheet *sheet, uint32_t row, uint16_t column, cspreadsheet_moment kind, int year, int month, int day, int hour,
    int minute, double second);
/// Writes the file, and frees everything. Returns NULL, or what is wrong.
const char *cspreadsheet_close(cspreadsheet *sheet);
