// SPDX-License-Identifier: Apache-2.0
/* The words for states, checks and times: HAProxy's where tools read them, plain ones in the log.
 */
#include "health/words.h"

#include <inttypes.h>
#include <stdio.h>

const char *check_status_word(enum check_status status)
{
    static const char *const words[] = {"UNK",   "INI",    "L4OK",   "L4TOUT", "L4CON",
                                        "L6OK",  "L6TOUT", "L6RSP",  "L7OK",   "L7TOUT",
                                        "L7RSP", "L7STS",  "SOCKERR"};
    return words[status];
}

const char *check_status_text(enum check_status status)
{
    static const char *const texts[] = {"Unknown",
                                        "Initializing",
                                        "Layer4 check passed",
                                        "Layer4 timeout",
                                        "Layer4 connection problem",
                                        "Layer6 check passed",
                                        "Layer6 timeout",
                                        "Layer6 invalid response",
                                        "Layer7 check passed",
                                        "Layer7 timeout",
                                        "Layer7 invalid response",
                                        "Layer7 wrong status",
                                        "Socket error"};
    return texts[status];
}

const char *health_state_word(enum health_state state)
{
    switch (state) {
    case HEALTH_UP:
        return "UP";
    case HEALTH_DOWN:
        return "DOWN";
    case HEALTH_UNCHECKED:
        return "UP (unchecked)";
    }
    return "?";
}

void duration_format(int64_t ms, char *out, size_t size)
{
    int64_t s = ms / 1000;
    if (ms < 1000)
        snprintf(out, size, "%" PRId64 "ms", ms);
    else if (s < 60)
        snprintf(out, size, "%" PRId64 "s", s);
    else if (s < 3600)
        snprintf(out, size, "%" PRId64 "m%" PRId64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, size, "%" PRId64 "h%" PRId64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(out, size, "%" PRId64 "d%" PRId64 "h", s / 86400, s / 3600 % 24);
}

const char *health_event_text(enum health_event event)
{
    switch (event) {
    case HEALTH_EVENT_REFUSED:
        return "connection refused";
    case HEALTH_EVENT_CONNECT:
        return "cannot connect";
    case HEALTH_EVENT_RESPONSE:
        return "no valid answer";
    }
    return "?";
}
