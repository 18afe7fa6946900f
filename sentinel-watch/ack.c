// SPDX-License-Identifier: Apache-2.0
/*
 * A strict JSON reader (RFC 8259) for one object whose members we know by name. Everything is
 * checked, also what is passed over: an answer is either JSON or it is not. Nothing is allocated.
 *
 *   members ──► member: name ':' value      a known name: its text or number goes into struct ack
 *                                           another one:  skip_value, up to ACK_DEPTH_MAX deep
 *
 * A string is decoded into a buffer of its field's size; one that does not fit is an error, since a
 * cut run id or address would be taken for another one. Control characters and lone surrogates are
 * refused. Bytes above 0x7f pass as they are: all that is compared with them is ASCII.
 */
#include "sentinel-watch/ack.h"

#include "base/mem.h"

#include <string.h>

struct reader {
    const char *at, *end;
    const char *error; /* the first one; NULL: none so far */
};

static bool fail(struct reader *in, const char *error)
{
    if (!in->error)
        in->error = error;
    return false;
}

static void skip_space(struct reader *in)
{
    while (in->at < in->end &&
           (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
        in->at++;
}

/* The next character that is not white space; '\0' at the end. */
static char peek(struct reader *in)
{
    skip_space(in);
    return in->at < in->end ? *in->at : '\0';
}

static bool take(struct reader *in, char c)
{
    if (peek(in) != c || in->at == in->end)
        return false;
    in->at++;
    return true;
}

static bool take_word(struct reader *in, struct span word)
{
    if (!span_starts(span_of(in->at, (size_t)(in->end - in->at)), word))
        return fail(in, "not JSON: an unknown word");
    in->at += word.len;
    return true;
}

/* ---- strings ------------------------------------------------------------------------------- */

/* Where a decoded string goes; text NULL: it is only checked. */
struct sink {
    char *text;
    size_t size, len;
};

static bool put(struct reader *in, struct sink *out, const char *bytes, size_t n)
{
    if (!out->text)
        return true;
    if (out->len + n >= out->size)
        return fail(in, "a text is too long");
    memcpy(out->text + out->len, bytes, n);
    out->len += n;
    return true;
}

static bool put_code_point(struct reader *in, struct sink *out, uint32_t c)
{
    char utf8[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--) {
        utf8[i] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    utf8[0] = (char)(first[n] | c);
    return put(in, out, utf8, n);
}

/* Four hex digits behind \u. */
static bool take_hex(struct reader *in, uint32_t *out)
{
    uint64_t value;
    if (in->end - in->at < 4 || !span_hex_to_u64(span_of(in->at, 4), &value))
        return fail(in, "not JSON: \\u without four hexadecimal digits");
    in->at += 4;
    *out = (uint32_t)value;
    return true;
}

static bool take_unicode(struct reader *in, struct sink *out)
{
    uint32_t c, low;
    if (!take_hex(in, &c))
        return false;
    if (c == 0)
        return fail(in, "a NUL in a text");
    if (c >= 0xd800 && c < 0xdc00) {
        if (in->end - in->at < 2 || in->at[0] != '\\' || in->at[1] != 'u')
            return fail(in, "not JSON: half of a surrogate pair");
        in->at += 2;
        if (!take_hex(in, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return fail(in, "not JSON: half of a surrogate pair");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c < 0xe000) {
        return fail(in, "not JSON: half of a surrogate pair");
    }
    return put_code_point(in, out, c);
}

static bool take_escape(struct reader *in, struct sink *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (in->at == in->end)
        return fail(in, "not JSON: a text has no end");
    char c = *in->at++;
    if (c == 'u')
        return take_unicode(in, out);
    const char *name = c != '\0' ? strchr(names, c) : NULL;
    return name ? put(in, out, &values[name - names], 1)
                : fail(in, "not JSON: an unknown escape in a text");
}

/* A string from its opening quote on; NUL-terminated in `out`. */
static bool take_string(struct reader *in, struct sink *out)
{
    if (!take(in, '"'))
        return fail(in, "not JSON, or a text is missing");
    while (in->at < in->end && *in->at != '"') {
        char c = *in->at++;
        if ((unsigned char)c < 0x20)
            return fail(in, "not JSON: a control character in a text");
        bool ok = c == '\\' ? take_escape(in, out) : put(in, out, &c, 1);
        if (!ok)
            return false;
    }
    if (in->at == in->end)
        return fail(in, "not JSON: a text has no end");
    in->at++;
    if (out->text)
        out->text[out->len] = '\0';
    return true;
}

/* ---- values that are passed over ----------------------------------------------------------- */

static size_t take_digits(struct reader *in)
{
    const char *from = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9')
        in->at++;
    return (size_t)(in->at - from);
}

static bool take_char_of(struct reader *in, const char *set)
{
    if (in->at == in->end || *in->at == '\0' || !strchr(set, *in->at))
        return false;
    in->at++;
    return true;
}

static bool skip_number(struct reader *in)
{
    take_char_of(in, "-");
    bool zero = in->at < in->end && *in->at == '0';
    size_t digits = take_digits(in);
    if (digits == 0 || (zero && digits > 1))
        return fail(in, "not JSON: a malformed number");
    if (take_char_of(in, ".") && take_digits(in) == 0)
        return fail(in, "not JSON: a malformed number");
    if (take_char_of(in, "eE")) {
        take_char_of(in, "+-");
        if (take_digits(in) == 0)
            return fail(in, "not JSON: a malformed number");
    }
    return true;
}

static bool skip_value(struct reader *in, int depth);

/* The rest of an object or array, behind its opening bracket. */
static bool skip_items(struct reader *in, int depth, bool object)
{
    char close = object ? '}' : ']';
    if (depth > ACK_DEPTH_MAX)
        return fail(in, "nested too deeply");
    if (take(in, close))
        return true;
    do {
        struct sink nowhere = {0};
        if (object && (!take_string(in, &nowhere) || !take(in, ':')))
            return fail(in, "not JSON: a member without its colon");
        if (!skip_value(in, depth + 1))
            return false;
    } while (take(in, ','));
    return take(in, close) || fail(in, "not JSON: a bracket is not closed");
}

static bool skip_value(struct reader *in, int depth)
{
    struct sink nowhere = {0};
    char c = peek(in);
    switch (c) {
    case '"':
        return take_string(in, &nowhere);
    case '{':
    case '[':
        in->at++;
        return skip_items(in, depth, c == '{');
    case 't':
        return take_word(in, SPAN("true"));
    case 'f':
        return take_word(in, SPAN("false"));
    case 'n':
        return take_word(in, SPAN("null"));
    default:
        return skip_number(in);
    }
}

/* ---- the answer ---------------------------------------------------------------------------- */

enum member {
    MEMBER_ID,
    MEMBER_PHASE,
    MEMBER_CONNECTED,
    MEMBER_ROLE,
    MEMBER_RUN_ID,
    MEMBER_QUEUED
};

struct answer {
    struct ack *ack;
    char id[FAILOVER_ID_MAX];
    char phase[16];
    unsigned seen; /* bits of enum member */
};

static bool take_count(struct reader *in, uint64_t *out)
{
    skip_space(in);
    const char *from = in->at;
    if (!skip_number(in))
        return false;
    return span_to_u64(span_of(from, (size_t)(in->at - from)), out) ||
           fail(in, "'queued' is not a count");
}

static bool take_known(struct reader *in, struct answer *answer, enum member member)
{
    struct ack *ack = answer->ack;
    struct sink sinks[] = {
        [MEMBER_ID] = {answer->id, sizeof(answer->id), 0},
        [MEMBER_PHASE] = {answer->phase, sizeof(answer->phase), 0},
        [MEMBER_CONNECTED] = {ack->connected_to, sizeof(ack->connected_to), 0},
        [MEMBER_ROLE] = {ack->role, sizeof(ack->role), 0},
        [MEMBER_RUN_ID] = {ack->run_id, sizeof(ack->run_id), 0},
    };
    if (answer->seen & 1U << member)
        return fail(in, "a member stands there twice");
    answer->seen |= 1U << member;
    if (member == MEMBER_QUEUED)
        return take_count(in, &ack->queued);
    // Who knows nothing to say may say null.
    if (peek(in) == 'n' && member != MEMBER_ID && member != MEMBER_PHASE)
        return take_word(in, SPAN("null"));
    return take_string(in, &sinks[member]);
}

static bool take_member(struct reader *in, struct answer *answer)
{
    static const char *const names[] = {
        [MEMBER_ID] = "id",     [MEMBER_PHASE] = "phase",   [MEMBER_CONNECTED] = "connected_to",
        [MEMBER_ROLE] = "role", [MEMBER_RUN_ID] = "run_id", [MEMBER_QUEUED] = "queued",
    };
    char name[64];
    struct sink sink = {name, sizeof(name), 0};
    if (!take_string(in, &sink))
        return false;
    if (!take(in, ':'))
        return fail(in, "not JSON: a member without its colon");
    for (size_t i = 0; i < array_len(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return take_known(in, answer, (enum member)i);
    }
    return skip_value(in, 1);
}

static bool take_object(struct reader *in, struct answer *answer)
{
    if (!take(in, '{'))
        return fail(in, "not a JSON object");
    if (!take(in, '}')) {
        do {
            if (!take_member(in, answer))
                return false;
        } while (take(in, ','));
        if (!take(in, '}'))
            return fail(in, "not JSON: a bracket is not closed");
    }
    skip_space(in);
    return in->at == in->end || fail(in, "something stands behind the object");
}

bool failover_id_parse(struct span id, char master[static FAILOVER_NAME_MAX], uint64_t *generation,
                       uint64_t *epoch)
{
    size_t colons[2] = {SIZE_MAX, SIZE_MAX}, found = 0;
    for (size_t i = id.len; i > 0 && found < 2; i--) {
        if (id.ptr[i - 1] == ':')
            colons[found++] = i - 1;
    }
    if (found < 2 || colons[1] == 0 || colons[1] >= FAILOVER_NAME_MAX)
        return false;
    span_to_str(span_upto(id, colons[1]), master, FAILOVER_NAME_MAX);
    return span_to_u64(span_from(span_upto(id, colons[0]), colons[1] + 1), generation) &&
           span_to_u64(span_from(id, colons[0] + 1), epoch);
}

const char *ack_parse(struct span body, struct ack *out)
{
    struct answer answer = {.ack = out};
    struct reader in = {body.ptr, body.ptr + body.len, NULL};
    *out = (struct ack){0};
    if (body.len > ACK_BYTES_MAX)
        return "the answer is too long";
    if (!take_object(&in, &answer))
        return in.error;
    if ((answer.seen & 3) != 3)
        return "'id' or 'phase' is missing";
    if (!failover_id_parse(span_str(answer.id), out->master, &out->generation, &out->epoch))
        return "'id' is not MASTER:GENERATION:EPOCH";
    if (!phase_parse(span_str(answer.phase), &out->phase))
        return "'phase' is not a phase";
    return NULL;
}
