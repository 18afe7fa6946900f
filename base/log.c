// SPDX-License-Identifier: Apache-2.0
/*
 * From a sentence to a line, as text or JSON. Where lines go is log_writer.c's business.
 *
 * Callers escape what came from the network (log_escape). As a second wall nothing that could forge
 * a line or command a terminal leaves here: control bytes are escaped, and JSON gets valid UTF-8
 * only.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/log_writer.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MESSAGE_MAX = 2048,                /* bytes of a sentence; the rest is cut */
    LINE_BYTES = MESSAGE_MAX * 6 + 256 /* as JSON, all of it escaped */
};

static struct {
    char program[32];
    _Atomic(enum log_level) level;
    _Atomic(enum log_format) format;
    atomic_bool journal; /* stderr is the journal, which adds time and program */
} setup = {.program = "limpet", .level = LOG_LEVEL_INFO};

static const char *const level_word[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

/* systemd puts the device and inode of the journal's stream into the environment. */
static bool stderr_is_journal(void)
{
    const char *text = getenv("JOURNAL_STREAM");
    struct stat status;
    if (!text || fstat(STDERR_FILENO, &status) < 0)
        return false;
    char mine[64];
    snprintf(mine, sizeof(mine), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return strcmp(text, mine) == 0;
}

void log_setup(const char *program, enum log_level level, enum log_format format)
{
    if (strcmp(setup.program, program) != 0)
        snprintf(setup.program, sizeof(setup.program), "%s", program);
    atomic_store_explicit(&setup.level, level, memory_order_relaxed);
    atomic_store_explicit(&setup.format, format, memory_order_relaxed);
    atomic_store_explicit(&setup.journal, stderr_is_journal(), memory_order_relaxed);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&setup.level, level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return level <= atomic_load_explicit(&setup.level, memory_order_relaxed);
}

const char *log_program(void)
{
    return setup.program;
}

/* "2026-11-21T20:00:00.123Z" */
static void format_time(char out[static 32])
{
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + len, 32 - len, ".%03dZ", (int)(now_ms % 1000));
}

/* How many bytes the well-formed UTF-8 sequence at `at` has (RFC 3629); 0: it is none. */
static size_t utf8_sequence(const unsigned char *at, size_t left)
{
    unsigned char first = at[0];
    if (first < 0xc2 || first > 0xf4)
        return 0;
    size_t len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (left < len)
        return 0;
    unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < least || at[1] > most)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    }
    return len;
}

/* The string's inside, as JSON wants it; out has room for six times the bytes. */
static size_t put_json_string(const char *message, char *out)
{
    static const char hex[] = "0123456789abcdef";
    size_t left = strlen(message), end = 0;
    while (left > 0) {
        const unsigned char *at = (const unsigned char *)message;
        size_t take = 1;
        if (*at == '"' || *at == '\\') {
            out[end++] = '\\';
            out[end++] = (char)*at;
        } else if (*at < 0x20 || *at == 0x7f) {
            memcpy(out + end, "\\u00", 4);
            out[end + 4] = hex[*at >> 4];
            out[end + 5] = hex[*at & 15];
            end += 6;
        } else if (*at < 0x80) {
            out[end++] = (char)*at;
        } else {
            take = utf8_sequence(at, left);
            memcpy(out + end, take > 0 ? message : "\xef\xbf\xbd", take > 0 ? take : 3);
            end += take > 0 ? take : 3;
            take = take > 0 ? take : 1;
        }
        message += take;
        left -= take;
    }
    return end;
}

static size_t put_hex(unsigned char c, char *out)
{
    static const char hex[] = "0123456789ABCDEF";
    out[0] = '\\';
    out[1] = 'x';
    out[2] = hex[c >> 4];
    out[3] = hex[c & 15];
    return 4;
}

/* The message with control bytes as \xHH; out has room for four times the bytes. */
static size_t put_text(const char *message, char *out)
{
    size_t end = 0;
    for (; *message; message++) {
        unsigned char c = (unsigned char)*message;
        if (c >= 0x20 && c != 0x7f)
            out[end++] = *message;
        else
            end += put_hex(c, out + end);
    }
    return end;
}

size_t log_line(enum log_level level, const char *message, char *out, size_t size)
{
    static const int syslog_priority[] = {3, 4, 6, 7};
    char time_text[32];
    size_t end;
    format_time(time_text);
    if (atomic_load_explicit(&setup.format, memory_order_relaxed) == LOG_FORMAT_JSON) {
        end = (size_t)snprintf(
            out, size, "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"message\":\"",
            time_text, level_word[level], setup.program);
        end += put_json_string(message, out + end);
        out[end++] = '"';
        out[end++] = '}';
    } else {
        bool journal = atomic_load_explicit(&setup.journal, memory_order_relaxed);
        end = (size_t)(journal ? snprintf(out, size, "<%d>%s: ", syslog_priority[level],
                                          level_word[level])
                               : snprintf(out, size, "%s %s: ", time_text, level_word[level]));
        end += put_text(message, out + end);
    }
    out[end++] = '\n';
    return end;
}

__attribute__((format(printf, 2, 0))) static void log_write(enum log_level level,
                                                            const char *format, va_list arguments)
{
    char message[MESSAGE_MAX], line[LINE_BYTES];
    vsnprintf(message, sizeof(message), format, arguments);
    log_writer_stderr(span_of(line, log_line(level, message, line, sizeof(line))));
}

#define LOG_FUNCTION(name, its_level)                                                              \
    void name(const char *format, ...)                                                             \
    {                                                                                              \
        if (!log_enabled(its_level))                                                               \
            return;                                                                                \
        va_list arguments;                                                                         \
        va_start(arguments, format);                                                               \
        log_write(its_level, format, arguments);                                                   \
        va_end(arguments);                                                                         \
    }

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

size_t log_escape(struct span bytes, char *out, size_t size)
{
    size_t end = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
        if (end + (plain ? 1 : 4) >= size)
            break;
        if (plain)
            out[end++] = (char)c;
        else
            end += put_hex(c, out + end);
    }
    if (size > 0)
        out[end] = '\0';
    return end;
}
