// Line editing with history by libedit, which is opened at run time: commands other than the shell do not load it, and
// without it the shell still reads plain lines.
//
// One editor a process, for stdin and stdout. Thread: one at a time.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

/// Opens the library. False when libedit is not installed or the terminal is not fit for editing.
/// `interrupt_fd` becomes readable when Ctrl-C was typed; it is read empty here.
bool ceditline_open(const char *program_name, int history_count_max, int interrupt_fd);

/// Gives the terminal back. Harmless when nothing is open.
void ceditline_close(void);

/// What ceditline_read came to.
typedef enum {
    CEDITLINE_LINE,
    CEDITLINE_END_OF_INPUT,
    /// Ctrl-C was typed; the line is dropped.
    CEDITLINE_INTERRUPTED,
} ceditline_outcome;

/// Reads one line, its line end included; `*line` is valid until the next call.
ceditline_outcome ceditline_read(const char *prompt, const char **line, size_t *length);

/// When a line is to be drawn.
typedef enum {
    /// A key is waited for.
    CEDITLINE_SHOW,
    /// The line was entered.
    CEDITLINE_END,
    /// Something else is going to be written: the cursor has to be behind what is shown, which is drawn anew afterwards.
    CEDITLINE_LEAVE,
    /// The screen is to be cleared.
    CEDITLINE_CLEAR,
    /// The window has another size.
    CEDITLINE_RESIZE,
    /// Something else was written, and what is below the cursor's line is free.
    CEDITLINE_RESUME,
} ceditline_moment;

/// Draws a prompt and a line behind it, with the cursor at a character of it. In the line are control characters as well, and while
/// the history is searched, what is searched for, behind a line end.
typedef void (*ceditline_drawer)(
    ceditline_moment moment, const char *prompt, const wchar_t *text, size_t length, size_t cursor);

/// Has lines drawn by `draw` instead of libedit. False where the terminal is not one that obeys the usual control sequences, as by its
/// description (terminfo(5)).
bool ceditline_set_drawer(ceditline_drawer draw);

/// What a completer proposes for the text before the cursor.
typedef struct {
    /// How many characters before the cursor go, and behind it, and what comes in their place; NULL for nothing. malloc()ed.
    size_t removed_count;
    size_t removed_behind_count;
    char *inserted;
    /// Below the line that is edited; NULL for none. malloc()ed.
    char *list;
} ceditline_proposal;

/// Has Tab call `complete` with the line and the place of the cursor in it, at a prompt, on the thread that reads. A Tab at the beginning of a
/// line, or with more behind it already, as in what is pasted, is a tab.
void ceditline_set_completer(ceditline_proposal (*complete)(const char *text, size_t cursor, size_t length));

/// Appends an entry to the history in memory.
void ceditline_add_history(const char *entry);
