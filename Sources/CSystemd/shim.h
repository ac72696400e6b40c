#ifndef MLMIRROR_CSYSTEMD_H
#define MLMIRROR_CSYSTEMD_H
// Without this the C library adds the place of the call, which would always be the same one.
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>
#endif
