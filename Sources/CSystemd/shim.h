// Records say what they say: no place in the source beside it (sd_journal_send(3)).
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>
