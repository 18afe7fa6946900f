// SPDX-License-Identifier: Apache-2.0
/*
 * Problems: collecting, sorting and showing them.
 *
 *     limpet.yaml:7:5: error: unknown key 'blance'; did you mean 'balance'?
 *         7 |     blance: hash
 *           |     ^
 *
 * Lines end where libyaml ends them (LF, CR, CRLF, NEL, LS, PS), so that its marks and our source
 * lines agree. What a problem keeps of the file is harmless for a terminal: control characters and
 * broken UTF-8 become '?'. A message about the same place in the same words is kept once: aliases,
 * merges and `defaults` lead many readers to one mistake.
 */
#include "config/diag.h"

#include "base/mem.h"
#include "config/load.h"
#include "config/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    SOURCE_LINE_MAX = 400,   /* bytes kept of a source line */
    SOURCE_COLUMN_MAX = 200, /* beyond this column no source line is shown */
};

/* ---- text -------------------------------------------------------------------------------------
 */

/* Bytes of the character at the front of s, which is not empty; a broken one counts as one byte. */
static size_t step(struct span s)
{
    uint32_t code;
    size_t len = utf8_decode(s, &code);
    return len > 0 ? len : 1;
}

/* Bytes of the line break at the front of s; 0 when there is none. */
static size_t break_length(struct span s)
{
    if (s.len == 0)
        return 0;
    if (s.ptr[0] == '\n')
        return 1;
    if (s.ptr[0] == '\r')
        return s.len > 1 && s.ptr[1] == '\n' ? 2 : 1;
    if (span_starts(s, SPAN("\xc2\x85")))
        return 2;
    if (span_starts(s, SPAN("\xe2\x80\xa8")) || span_starts(s, SPAN("\xe2\x80\xa9")))
        return 3;
    return 0;
}

/* Takes one line off the front of *rest and returns it without its break. */
static struct span line_cut(struct span *rest)
{
    for (size_t i = 0; i < rest->len; i++) {
        size_t width = break_length(span_from(*rest, i));
        if (width > 0) {
            struct span line = span_upto(*rest, i);
            *rest = span_from(*rest, i + width);
            return line;
        }
    }
    struct span line = *rest;
    *rest = span_from(*rest, rest->len);
    return line;
}

void diag_locate(struct span text, size_t offset, int *line, int *column)
{
    *line = *column = 1;
    while (offset > 0 && text.len > 0) {
        size_t width = break_length(text);
        bool ends = width > 0;
        *column = ends ? 1 : *column + 1;
        *line += ends;
        width = ends ? width : step(text);
        text = span_from(text, width);
        offset -= width < offset ? width : offset;
    }
}

struct span diag_quote(struct span text)
{
    if (text.len <= DIAG_QUOTE_MAX)
        return text;
    size_t len = DIAG_QUOTE_MAX;
    while (len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
        len--;
    return span_upto(text, len);
}

/* A NUL-terminated copy that is safe to show: at most `max` bytes, no control characters but TAB.
 */
static char *shown(struct span text, size_t max)
{
    char *out = mem_must_alloc(max + 1);
    size_t len = 0;
    while (text.len > 0) {
        uint32_t code;
        size_t width = utf8_decode(text, &code);
        bool show = width > 0 && (code == '\t' || !utf8_is_control(code));
        size_t take = width > 0 ? width : 1;
        if (len + take > max)
            break;
        memcpy(out + len, show ? text.ptr : "?", show ? width : 1);
        len += show ? width : 1;
        text = span_from(text, take);
    }
    out[len] = '\0';
    return mem_must_resize(out, len + 1);
}

static char *source_line(struct span text, int line, int column)
{
    if (line < 1 || column > SOURCE_COLUMN_MAX)
        return NULL;
    struct span source = SPAN_NONE;
    for (int i = 0; i < line; i++)
        source = line_cut(&text);
    return source.len > 0 ? shown(source, SOURCE_LINE_MAX) : NULL;
}

/* ---- collecting -------------------------------------------------------------------------------
 */

void diag_init(struct diag *diag, struct problems *problems, struct span text)
{
    *problems = (struct problems){0};
    *diag = (struct diag){.problems = problems, .text = text};
}

static bool known(const struct problems *problems, int line, int column, const char *message)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct problem *p = &problems->list[i];
        if (p->line == line && p->column == column && strcmp(p->message, message) == 0)
            return true;
    }
    return false;
}

static void add(struct diag *diag, int line, int column, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

static void add(struct diag *diag, int line, int column, const char *format, va_list args)
{
    char raw[2048];
    int len = vsnprintf(raw, sizeof raw, format, args);
    assert(len >= 0);
    size_t used = (size_t)len < sizeof raw ? (size_t)len : sizeof raw - 1;
    char *message = shown(span_of(raw, used), sizeof raw);

    struct problems *problems = diag->problems;
    bool again = known(problems, line, column, message);
    if (again || problems->count == DIAG_PROBLEMS_MAX) {
        diag->dropped += !again;
        free(message);
        return;
    }
    problems->list = mem_must_resize(problems->list,
                                     (problems->count + 1) * sizeof *problems->list);
    problems->list[problems->count++] = (struct problem){
        .line = line,
        .column = column,
        .message = message,
        .source_line = source_line(diag->text, line, column),
    };
}

void diag_add(struct diag *diag, int line, int column, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(diag, line, column, format, args);
    va_end(args);
}

void diag_at(struct diag *diag, const struct node *node, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(diag, node->line, node->column, format, args);
    va_end(args);
}

static int by_position(const void *a, const void *b)
{
    const struct problem *x = a, *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return strcmp(x->message, y->message);
}

void diag_finish(struct diag *diag)
{
    struct problems *problems = diag->problems;
    if (problems->count == 0)
        return;
    qsort(problems->list, problems->count, sizeof *problems->list, by_position);
    if (diag->dropped == 0)
        return;
    struct problem *last = &problems->list[problems->count - 1];
    char *message;
    if (asprintf(&message, "%s (and %zu more problems)", last->message, diag->dropped) < 0)
        return;
    free(last->message);
    last->message = message;
}

void problems_add(struct problems *problems, struct span text, struct config_place place,
                  const char *message)
{
    struct diag diag = {.problems = problems, .text = text};
    diag_add(&diag, place.line, place.column, "%s", message);
}

void problems_free(struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        free(problems->list[i].message);
        free(problems->list[i].source_line);
    }
    free(problems->list);
    *problems = (struct problems){0};
}

/* ---- showing ----------------------------------------------------------------------------------
 */

static void print_json(const struct problems *problems, const char *file, FILE *out)
{
    fputs("[", out);
    for (size_t i = 0; i < problems->count; i++) {
        const struct problem *p = &problems->list[i];
        fprintf(out, "%s\n  {\"file\": ", i > 0 ? "," : "");
        json_print_string(file, out);
        fprintf(out,
                ", \"line\": %d, \"column\": %d, \"severity\": \"error\", \"message\": ", p->line,
                p->column);
        json_print_string(p->message, out);
        fputs("}", out);
    }
    fputs(problems->count > 0 ? "\n]\n" : "]\n", out);
}

/* The caret's line keeps the source's tabs, so that it stands right whatever their width is. */
static void print_caret(const struct problem *p, FILE *out)
{
    fprintf(out, "%5d | %s\n      | ", p->line, p->source_line);
    struct span rest = span_str(p->source_line);
    for (int i = 1; i < p->column; i++) {
        putc(rest.len > 0 && rest.ptr[0] == '\t' ? '\t' : ' ', out);
        rest = span_from(rest, rest.len > 0 ? step(rest) : 0);
    }
    fputs("^\n", out);
}

void problems_print(const struct problems *problems, const char *file, bool json, FILE *out)
{
    if (json) {
        print_json(problems, file, out);
        return;
    }
    for (size_t i = 0; i < problems->count; i++) {
        const struct problem *p = &problems->list[i];
        if (p->line > 0)
            fprintf(out, "%s:%d:%d: error: %s\n", file, p->line, p->column, p->message);
        else
            fprintf(out, "%s: error: %s\n", file, p->message);
        if (p->source_line)
            print_caret(p, out);
    }
}

/* ---- did you mean -----------------------------------------------------------------------------
 */

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Edits that lead from a to b: inserted, missing, wrong and swapped letters count one each. */
static size_t distance(struct span a, struct span b)
{
    size_t d[SUGGESTION_MAX + 1][SUGGESTION_MAX + 1];
    for (size_t i = 0; i <= a.len; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= b.len; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        for (size_t j = 1; j <= b.len; j++) {
            size_t wrong = a.ptr[i - 1] != b.ptr[j - 1];
            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + wrong);
            bool swapped = i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] &&
                           a.ptr[i - 2] == b.ptr[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    }
    return d[a.len][b.len];
}

void suggestion_init(struct suggestion *suggestion, struct span word)
{
    *suggestion = (struct suggestion){.word = word, .distance = 1 + word.len / 3};
}

void suggestion_try(struct suggestion *suggestion, const char *candidate)
{
    struct span other = span_str(candidate);
    bool comparable = suggestion->word.len <= SUGGESTION_MAX && other.len <= SUGGESTION_MAX;
    if (!comparable || suggestion->tried == SUGGESTION_TRIES_MAX)
        return;
    suggestion->tried++;
    size_t d = distance(suggestion->word, other);
    bool nearer = *suggestion->best ? d < suggestion->distance : d <= suggestion->distance;
    if (nearer && d < other.len) {
        span_to_str(other, suggestion->best, sizeof suggestion->best);
        suggestion->distance = d;
    }
}
