// Without this, sd_journal_sendv becomes a macro that Swift cannot see (sd_journal_print(3)).
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>
