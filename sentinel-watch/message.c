// SPDX-License-Identifier: Apache-2.0
/*
 * JSON by hand: few fields in one order, so that a reader of a log or a file finds them where they
 * always are. Texts come from sentinels and from the configuration; they are escaped, and what is
 * not ASCII becomes '?', so the result is valid UTF-8 whatever a sentinel says.
 */
#include "sentinel-watch/message.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct writer {
    char *out;
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct writer *writer, const char *format,
                                                      ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(writer->out + writer->len, MESSAGE_MAX - writer->len, format, args);
    va_end(args);
    assert(n >= 0 && (size_t)n < MESSAGE_MAX - writer->len);
    writer->len += (size_t)n;
}

/* At most max - 1 bytes of a text, quoted. */
static void add_text(struct writer *writer, const char *text, size_t max)
{
    add(writer, "\"");
    for (size_t i = 0; text[i] != '\0' && i + 1 < max; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            add(writer, "\\%c", c);
        else
            add(writer, "%c", c >= 0x20 && c < 0x7f ? c : '?');
    }
    add(writer, "\"");
}

static void add_place(struct writer *writer, const char *name, const struct place *place,
                      const char *run_id)
{
    add(writer, ",\"%s\":", name);
    if (place->port == 0) {
        add(writer, "null");
        return;
    }
    add(writer, "{\"host\":");
    add_text(writer, place->host, sizeof(place->host));
    add(writer, ",\"port\":%u", (unsigned)place->port);
    if (run_id) {
        add(writer, ",\"run_id\":");
        add_text(writer, run_id, FAILOVER_RUN_ID_MAX);
    }
    add(writer, "}");
}

char *message_time(int64_t wall_ms, char out[static MESSAGE_TIME_MAX])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(out, MESSAGE_TIME_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + len, MESSAGE_TIME_MAX - len, ".%03uZ", (unsigned)(wall_ms % 1000));
    return out;
}

size_t message_write(const struct message *message, char out[static MESSAGE_MAX])
{
    const struct failover *failover = message->failover;
    struct writer writer = {out, 0};
    char time[MESSAGE_TIME_MAX];
    add(&writer, "{\"event\":\"failover\",\"phase\":\"%s\",\"id\":", phase_word(message->phase));
    add_text(&writer, failover->id, sizeof(failover->id));
    add(&writer, ",\"master\":");
    add_text(&writer, failover->master, sizeof(failover->master));
    add(&writer,
        ",\"generation\":%" PRIu64 ",\"epoch\":%" PRIu64 ",\"watcher\":", failover->generation,
        failover->epoch);
    add_text(&writer, message->watcher, MESSAGE_WATCHER_MAX);
    add_place(&writer, "old", &failover->old_place, NULL);
    add_place(&writer, "new", &failover->new_place, failover->run_id);
    add(&writer, ",\"sent_at\":\"%s\"", message_time(message->sent_ms, time));
    if (message->attempt > 0)
        add(&writer,
            ",\"deadline_ms\":%" PRId64 ",\"hold_max_ms\":%" PRId64 ",\"attempt\":%" PRIu32,
            message->deadline_ms, message->hold_max_ms, message->attempt);
    add(&writer, ",\"reason\":");
    add_text(&writer, failover->reason, sizeof(failover->reason));
    add(&writer, "}");
    return writer.len;
}

char *message_sign(const char *secret, int64_t timestamp_s, struct span body,
                   char out[static SIGNATURE_MAX])
{
    char timestamp[24];
    int len = snprintf(timestamp, sizeof(timestamp), "%" PRId64 ".", timestamp_s);
    struct span parts[] = {{timestamp, (size_t)len}, body};
    memcpy(out, "v1=", 3);
    digest_hmac_hex(span_str(secret), parts, 2, out + 3);
    return out;
}
