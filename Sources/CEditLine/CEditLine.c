// See CEditLine.h. Only what the shell needs of libedit; its variadic functions are out of Swift's reach.
//
// Source: editline(3)
#define _GNU_SOURCE
#include "CEditLine.h"

#include <dlfcn.h>
#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

static struct {
    void *library;
    __typeof__(el_init_fd) *init;
    __typeof__(el_end) *end;
    __typeof__(el_gets) *gets;
    __typeof__(el_set) *set;
    __typeof__(el_get) *get;
    __typeof__(el_resize) *resize;
    __typeof__(el_line) *line;
    __typeof__(el_wline) *wide_line;
    __typeof__(el_insertstr) *insert;
    __typeof__(el_deletestr) *remove;
    __typeof__(el_cursor) *move;
    __typeof__(history_init) *history_init;
    __typeof__(history_end) *history_end;
    __typeof__(history) *history;
} api;

static EditLine *editor;
static History *entries;
/// What libedit writes to the terminal goes through it, see write_through.
static FILE *terminal;
static ceditline_drawer drawer;
static const char *current_prompt = "";
static int interrupt_fd = -1;
static bool was_interrupted;
static volatile sig_atomic_t was_resized, was_suspended, was_continued;
/// What is blocked while a key is waited for: the signals that are looked at there come at no other time.
static sigset_t waiting_mask;

static void write_all(const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, count);
        if (written < 0 && errno != EINTR) return;
        if (written < 0) continue;
        bytes += written;
        count -= (size_t)written;
    }
}

/// libedit draws lines without colours, and writes only what differs from what it has drawn. Where lines are drawn by
/// somebody else, nothing of that is left but the bell.
static ssize_t write_through(void *cookie, const char *bytes, size_t count) {
    (void)cookie;
    if (!drawer) {
        write_all(bytes, count);
    } else if (memchr(bytes, '\a', count)) {
        write_all("\a", 1);
    }
    return (ssize_t)count;
}

/// How long the last drawing took, in milliseconds.
static int drawing_time;

static void draw(EditLine *e, ceditline_moment moment) {
    const LineInfoW *info = api.wide_line(e);
    size_t length = (size_t)(info->lastchar - info->buffer), cursor = (size_t)(info->cursor - info->buffer);
    if (moment == CEDITLINE_END) {
        if (length > 0 && info->buffer[length - 1] == L'\n') length -= 1;
        cursor = length;
    }
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    drawer(moment, current_prompt, info->buffer, length, cursor < length ? cursor : length);
    clock_gettime(CLOCK_MONOTONIC, &end);
    long milliseconds = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
    drawing_time = milliseconds > 200 ? 200 : (int)milliseconds;
}

/// Has the cursor behind the line, of which the last keys may not be drawn yet.
static void leave(EditLine *e) {
    draw(e, CEDITLINE_SHOW);
    draw(e, CEDITLINE_LEAVE);
}

static char *give_prompt(EditLine *e) {
    (void)e;
    return (char *)current_prompt;
}

static void note_resize(int signal_number) {
    (void)signal_number;
    was_resized = 1;
}

static void note_suspension(int signal_number) {
    (void)signal_number;
    was_suspended = 1;
}

static void note_continuation(int signal_number) {
    (void)signal_number;
    was_continued = 1;
}

static void set_handler(int signal_number, void (*handler)(int), struct sigaction *former) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(signal_number, &action, former);
}

static void fill_suspension(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGTSTP);
    sigaddset(set, SIGCONT);
}

/// Whether what comes is pasted: the terminal says where it begins and ends (bracketed paste, "Bracketed Paste Mode" in xterm's
/// ctlseqs). Nothing of it is a command of the editor.
static bool is_pasting;
/// How long a paste may come to a stop, in milliseconds. Its end may have gone to somebody else, who has read meanwhile.
enum { PASTE_PAUSE_MAX = 1000 };

/// Terminals that do not know it ignore it.
static void mark_pastes(bool is_wanted) {
    if (drawer) write_all(is_wanted ? "\033[?2004h" : "\033[?2004l", 8);
}

/// Stops as Ctrl-Z wants it, with the terminal as it was found. Returns when somebody has let the process go on.
static void suspend(EditLine *e) {
    was_suspended = 0;
    if (drawer) leave(e);
    mark_pastes(false);
    api.set(e, EL_PREP_TERM, 0);
    struct sigaction own;
    sigset_t suspension, former;
    fill_suspension(&suspension);
    set_handler(SIGTSTP, SIG_DFL, &own);
    pthread_sigmask(SIG_UNBLOCK, &suspension, &former);
    raise(SIGTSTP);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    sigaction(SIGTSTP, &own, NULL);
    was_continued = 1;
}

/// Draws the whole line again, from where the cursor is. The terminal may have been somebody else's meanwhile.
static void draw_again(EditLine *e) {
    if (was_continued) {
        api.set(e, EL_PREP_TERM, 0);
        api.set(e, EL_PREP_TERM, 1);
        mark_pastes(true);
    }
    ceditline_moment moment = was_continued ? CEDITLINE_RESUME : CEDITLINE_RESIZE;
    was_continued = was_resized = 0;
    api.resize(e);
    if (drawer) {
        draw(e, moment);
        draw(e, CEDITLINE_SHOW);
    } else {
        fputc('\r', terminal);
        api.set(e, EL_REFRESH);
    }
}

/// Whether there is a key, or one comes within so many milliseconds.
static bool has_key(int milliseconds) {
    struct pollfd wanted = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&wanted, 1, milliseconds) > 0;
}

/// Waits for a key. Signals arrive by a descriptor, so that none can slip in between a test and a read.
/// Returns 1 when there is one, 0 for Ctrl-C, −1 on failure.
static int wait_for_key(EditLine *e) {
    struct pollfd wanted[2] = {
        {.fd = STDIN_FILENO, .events = POLLIN},
        {.fd = interrupt_fd, .events = POLLIN},
    };
    // What is pasted is drawn when it has come, and a line that takes long to draw when nobody types: so drawing takes less than
    // half of the time, however long the line is.
    if (drawer && !has_key(drawing_time)) draw(e, CEDITLINE_SHOW);
    for (;;) {
        int count = ppoll(wanted, 2, NULL, &waiting_mask);
        int error = errno;
        if (was_suspended) suspend(e);
        if (was_continued || was_resized) draw_again(e);
        if (count < 0) {
            if (error == EINTR) continue;
            return -1;
        }
        if (wanted[1].revents != 0) {
            char bytes[64];
            (void)!read(interrupt_fd, bytes, sizeof bytes);
            if (drawer) leave(e);
            return 0;
        }
        if (wanted[0].revents != 0) return 1;
    }
}

/// Reads one character of the terminal's encoding. Returns 1, 0 at the end of input, −1 to break off.
static int read_key(EditLine *e, wchar_t *character) {
    char bytes[MB_LEN_MAX > 16 ? MB_LEN_MAX : 16];
    size_t count = 0;
    for (;;) {
        int ready = wait_for_key(e);
        if (ready <= 0) {
            was_interrupted = ready == 0;
            return -1;
        }
        ssize_t got = read(STDIN_FILENO, bytes + count, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return (int)got;
        // A Ctrl-D that was typed while the terminal was not in raw mode yet arrives as NUL (termios(3), VEOF).
        if (count == 0 && bytes[0] == 0) bytes[0] = 4;
        count += 1;
        mbstate_t state = {0};
        size_t used = mbrtowc(character, bytes, count, &state);
        if (used == 0 || (used != (size_t)-1 && used != (size_t)-2)) return 1;
        // Bytes that are no character are dropped.
        if (used == (size_t)-1 || count == sizeof bytes) count = 0;
    }
}

static bool is_text(wchar_t character) {
    return character == L'\t' || character == L'\n' || character == L'\r' || (character >= L' ' && character != 0x7f);
}

/// Reads one character, of what is pasted only those that are text. Returns as `read_key`.
static int read_character(EditLine *e, wchar_t *character) {
    static const wchar_t end[] = L"\033[201~";
    size_t matched = 0;
    while (is_pasting) {
        if (!has_key(PASTE_PAUSE_MAX)) {
            is_pasting = false;
            break;
        }
        int result = read_key(e, character);
        if (result <= 0) {
            is_pasting = false;
            return result;
        }
        if (*character == end[matched]) {
            matched += 1;
            if (end[matched] == 0) is_pasting = false;
        } else {
            matched = *character == end[0] ? 1 : 0;
            if (matched == 0 && is_text(*character)) return 1;
        }
    }
    return read_key(e, character);
}

/// Called where a paste begins.
static unsigned char begin_paste(EditLine *e, int key) {
    (void)e;
    (void)key;
    is_pasting = true;
    return CC_NORM;
}

static ceditline_proposal (*completer)(const char *text, size_t cursor, size_t length);

static bool is_blank(const char *text, size_t length) {
    for (size_t i = 0; i < length; i += 1) {
        if (text[i] != ' ' && text[i] != '\t') return false;
    }
    return true;
}

/// Called for Tab.
static unsigned char complete(EditLine *e, int key) {
    (void)key;
    const LineInfo *info = api.line(e);
    size_t length = (size_t)(info->cursor - info->buffer);
    if (!completer || is_blank(info->buffer, length) || is_pasting || has_key(0)) {
        return api.insert(e, "\t") == 0 ? CC_REFRESH : CC_ERROR;
    }
    ceditline_proposal proposal = completer(info->buffer, length, (size_t)(info->lastchar - info->buffer));
    unsigned char result = CC_REFRESH_BEEP;
    if (proposal.inserted) {
        if (proposal.removed_behind_count > 0) api.move(e, (int)proposal.removed_behind_count);
        proposal.removed_count += proposal.removed_behind_count;
        if (proposal.removed_count > 0) api.remove(e, (int)proposal.removed_count);
        if (api.insert(e, proposal.inserted) == 0) result = CC_REFRESH;
    } else if (proposal.list) {
        if (drawer) leave(e);
        fflush(terminal);
        write_all("\n", 1);
        write_all(proposal.list, strlen(proposal.list));
        result = CC_REDISPLAY;
    }
    free(proposal.inserted);
    free(proposal.list);
    return result;
}

/// Called for Ctrl-L where lines are drawn by somebody else.
static unsigned char clear(EditLine *e, int key) {
    (void)key;
    draw(e, CEDITLINE_CLEAR);
    return CC_REFRESH;
}

/// Whether the terminal obeys the control sequences of ECMA-48, and goes to the next line only with the next character.
static bool is_usual_terminal(void) {
    char *up = NULL, *erase = NULL, *wraps = NULL, *wraps_late = NULL;
    api.get(editor, EL_GETTC, "UP", &up);
    api.get(editor, EL_GETTC, "ce", &erase);
    api.get(editor, EL_GETTC, "am", &wraps);
    api.get(editor, EL_GETTC, "xn", &wraps_late);
    return up && strncmp(up, "\033[", 2) == 0 && erase && strncmp(erase, "\033[K", 3) == 0 && wraps && strcmp(wraps, "yes") == 0 &&
        wraps_late && strcmp(wraps_late, "yes") == 0;
}

bool ceditline_set_drawer(ceditline_drawer draw_line) {
    if (!is_usual_terminal()) return false;
    drawer = draw_line;
    api.set(editor, EL_ADDFN, "litebase-clear", "Clears the screen", clear);
    api.set(editor, EL_BIND, "^L", "litebase-clear", NULL);
    api.set(editor, EL_ADDFN, "litebase-paste", "Takes what is pasted as text", begin_paste);
    api.set(editor, EL_BIND, "\\e[200~", "litebase-paste", NULL);
    return true;
}

void ceditline_set_completer(ceditline_proposal (*complete_text)(const char *text, size_t cursor, size_t length)) {
    completer = complete_text;
}

static bool load(void) {
    if (api.library) return true;
    void *library = dlopen("libedit.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    api.init = (__typeof__(api.init))dlsym(library, "el_init_fd");
    api.end = (__typeof__(api.end))dlsym(library, "el_end");
    api.gets = (__typeof__(api.gets))dlsym(library, "el_gets");
    api.set = (__typeof__(api.set))dlsym(library, "el_set");
    api.get = (__typeof__(api.get))dlsym(library, "el_get");
    api.resize = (__typeof__(api.resize))dlsym(library, "el_resize");
    api.line = (__typeof__(api.line))dlsym(library, "el_line");
    api.wide_line = (__typeof__(api.wide_line))dlsym(library, "el_wline");
    api.insert = (__typeof__(api.insert))dlsym(library, "el_insertstr");
    api.remove = (__typeof__(api.remove))dlsym(library, "el_deletestr");
    api.move = (__typeof__(api.move))dlsym(library, "el_cursor");
    api.history_init = (__typeof__(api.history_init))dlsym(library, "history_init");
    api.history_end = (__typeof__(api.history_end))dlsym(library, "history_end");
    api.history = (__typeof__(api.history))dlsym(library, "history");
    if (!api.init || !api.end || !api.gets || !api.set || !api.get || !api.resize || !api.line || !api.wide_line || !api.insert ||
        !api.remove || !api.move || !api.history_init || !api.history_end || !api.history) {
        dlclose(library);
        return false;
    }
    api.library = library;
    return true;
}

bool ceditline_open(const char *program_name, int history_count_max, int fd) {
    if (!load()) return false;
    // mbrtowc and libedit take the terminal's encoding from here.
    setlocale(LC_CTYPE, "");
    // In the C locale libedit drops what is not ASCII, and another statement would be sent. Terminals have UTF-8 there, too.
    if (strcmp(nl_langinfo(CODESET), "ANSI_X3.4-1968") == 0) setlocale(LC_CTYPE, "C.UTF-8");
    interrupt_fd = fd;
    if (!terminal) terminal = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_through});
    if (!terminal) return false;
    editor = api.init(program_name, stdin, terminal, stderr, STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO);
    if (!editor) return false;
    entries = api.history_init();
    HistEvent event;
    if (entries) {
        api.history(entries, &event, H_SETSIZE, history_count_max);
        api.history(entries, &event, H_SETUNIQUE, 1);
        api.set(editor, EL_HIST, api.history, entries);
    }
    api.set(editor, EL_PROMPT, give_prompt);
    api.set(editor, EL_EDITOR, "emacs");
    api.set(editor, EL_GETCFN, read_character);
    // Searching backwards as in other shells.
    api.set(editor, EL_BIND, "^R", "em-inc-search-prev", NULL);
    api.set(editor, EL_ADDFN, "litebase-complete", "Completes the word before the cursor", complete);
    api.set(editor, EL_BIND, "^I", "litebase-complete", NULL);
    set_handler(SIGWINCH, note_resize, NULL);
    return true;
}

void ceditline_close(void) {
    if (editor) api.end(editor);
    if (entries) api.history_end(entries);
    editor = NULL;
    entries = NULL;
    drawer = NULL;
}

ceditline_outcome ceditline_read(const char *prompt, const char **line, size_t *length) {
    current_prompt = prompt;
    was_interrupted = false;
    int count = 0;
    // While a statement runs, Ctrl-Z does what it does to every program; the terminal is as it was then.
    sigset_t suspension, former;
    fill_suspension(&suspension);
    sigaddset(&suspension, SIGWINCH);
    pthread_sigmask(SIG_BLOCK, &suspension, &former);
    waiting_mask = former;
    struct sigaction usual_suspension, usual_continuation;
    set_handler(SIGTSTP, note_suspension, &usual_suspension);
    set_handler(SIGCONT, note_continuation, &usual_continuation);
    // Who started it has no job control (sh(1) without -m, for instance).
    if (usual_suspension.sa_handler == SIG_IGN) set_handler(SIGTSTP, SIG_IGN, NULL);
    mark_pastes(true);
    const char *text = api.gets(editor, &count);
    if (drawer) draw(editor, text && count > 0 ? CEDITLINE_END : CEDITLINE_LEAVE);
    mark_pastes(false);
    sigaction(SIGTSTP, &usual_suspension, NULL);
    sigaction(SIGCONT, &usual_continuation, NULL);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    if (text && count > 0) {
        *line = text;
        *length = (size_t)count;
        return CEDITLINE_LINE;
    }
    return was_interrupted ? CEDITLINE_INTERRUPTED : CEDITLINE_END_OF_INPUT;
}

void ceditline_add_history(const char *entry) {
    HistEvent event;
    if (entries) api.history(entries, &event, H_ENTER, entry);
}
