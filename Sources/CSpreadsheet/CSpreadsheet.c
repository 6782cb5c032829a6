// See CSpreadsheet.h.
//
// Source: https://libxlsxwriter.github.io, version 1.1.4
#include "CSpreadsheet.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <xlsxwriter.h>

static struct {
    void *library;
    __typeof__(workbook_new_opt) *new_workbook;
    __typeof__(workbook_add_worksheet) *add_sheet;
    __typeof__(workbook_add_format) *add_format;
    __typeof__(workbook_close) *close;
    __typeof__(format_set_num_format) *set_number_format;
    __typeof__(format_set_bold) *set_bold;
    __typeof__(worksheet_write_string) *write_string;
    __typeof__(worksheet_write_number) *write_number;
    __typeof__(worksheet_write_boolean) *write_boolean;
    __typeof__(worksheet_write_datetime) *write_datetime;
    __typeof__(worksheet_freeze_panes) *freeze;
    __typeof__(lxw_strerror) *describe;
} api;

struct cspreadsheet {
    lxw_workbook *workbook;
    lxw_worksheet *sheet;
    lxw_format *heading;
    lxw_format *moments[3];
};

bool cspreadsheet_is_available(void) {
    if (api.library) return true;
    void *library = dlopen("libxlsxwriter.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    api.new_workbook = (__typeof__(api.new_workbook))dlsym(library, "workbook_new_opt");
    api.add_sheet = (__typeof__(api.add_sheet))dlsym(library, "workbook_add_worksheet");
    api.add_format = (__typeof__(api.add_format))dlsym(library, "workbook_add_format");
    api.close = (__typeof__(api.close))dlsym(library, "workbook_close");
    api.set_number_format = (__typeof__(api.set_number_format))dlsym(library, "format_set_num_format");
    api.set_bold = (__typeof__(api.set_bold))dlsym(library, "format_set_bold");
    api.write_string = (__typeof__(api.write_string))dlsym(library, "worksheet_write_string");
    api.write_number = (__typeof__(api.write_number))dlsym(library, "worksheet_write_number");
    api.write_boolean = (__typeof__(api.write_boolean))dlsym(library, "worksheet_write_boolean");
    api.write_datetime = (__typeof__(api.write_datetime))dlsym(library, "worksheet_write_datetime");
    api.freeze = (__typeof__(api.freeze))dlsym(library, "worksheet_freeze_panes");
    api.describe = (__typeof__(api.describe))dlsym(library, "lxw_strerror");
    if (!api.new_workbook || !api.add_sheet || !api.add_format || !api.close || !api.set_number_format || !api.set_bold
        || !api.write_string || !api.write_number || !api.write_boolean || !api.write_datetime || !api.freeze || !api.describe) {
        dlclose(library);
        return false;
    }
    api.library = library;
    return true;
}

cspreadsheet *cspreadsheet_open(const char *path) {
    if (!cspreadsheet_is_available()) return NULL;
    cspreadsheet *made = calloc(1, sizeof *made);
    if (!made) return NULL;
    // Rows go into a temporary file as they come.
    lxw_workbook_options options = {.constant_memory = LXW_TRUE};
    made->workbook = api.new_workbook(path, &options);
    made->sheet = made->workbook ? api.add_sheet(made->workbook, NULL) : NULL;
    if (!made->sheet) {
        free(made);
        return NULL;
    }
    static const char *const forms[] = {"yyyy-mm-dd", "hh:mm:ss", "yyyy-mm-dd hh:mm:ss"};
    for (int kind = 0; kind < 3; kind++) {
        made->moments[kind] = api.add_format(made->workbook);
        if (made->moments[kind]) api.set_number_format(made->moments[kind], forms[kind]);
    }
    made->heading = api.add_format(made->workbook);
    if (made->heading) api.set_bold(made->heading);
    return made;
}

static const char *outcome(lxw_error error) { return error == LXW_NO_ERROR ? NULL : api.describe(error); }

const char *cspreadsheet_write_text(cspreadsheet *sheet, uint32_t row, uint16_t column, const char *text, bool is_heading) {
    // The headings stay in sight.
    if (is_heading && column == 0) api.freeze(sheet->sheet, row + 1, 0);
    return outcome(api.write_string(sheet->sheet, row, column, text, is_heading ? sheet->heading : NULL));
}

const char *cspreadsheet_write_number(cspreadsheet *sheet, uint32_t row, uint16_t column, double value) {
    return outcome(api.write_number(sheet->sheet, row, column, value, NULL));
}

const char *cspreadsheet_write_bool(cspreadsheet *sheet, uint32_t row, uint16_t column, bool value) {
    return outcome(api.write_boolean(sheet->sheet, row, column, value, NULL));
}

const char *cspreadsheet_write_moment(
    cspreadsheet *sheet, uint32_t row, uint16_t column, cspreadsheet_moment kind, int year, int month, int day, int hour,
    int minute, double second) {
    lxw_datetime moment = {year, month, day, hour, minute, second};
    return outcome(api.write_datetime(sheet->sheet, row, column, &moment, sheet->moments[kind]));
}

// The library also prints what its result says, on a standard error that is nowhere meanwhile. No other thread writes there.
static lxw_error close_silently(lxw_workbook *workbook) {
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int kept = nowhere < 0 ? -1 : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (kept >= 0) dup2(nowhere, STDERR_FILENO);
    lxw_error error = api.close(workbook);
    if (kept >= 0) {
        dup2(kept, STDERR_FILENO);
        close(kept);
    }
    if (nowhere >= 0) close(nowhere);
    return error;
}

const char *cspreadsheet_close(cspreadsheet *sheet) {
    lxw_error error = close_silently(sheet->workbook);
    free(sheet);
    return outcome(error);
}
