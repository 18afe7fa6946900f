// SPDX-License-Identifier: Apache-2.0
/*
 * The option reference in docs/options.md, and the starter file of `limpet config init`. The
 * reference is the option table in words; the starter is a text, which a unit test loads.
 */
#include "base/mem.h"
#include "config/options.h"
#include "config/value.h"

#include <string.h>

/* ---- reference --------------------------------------------------------------------------------
 */

struct chapter {
    const struct section *section;
    const char *title;
    const char *intro;
};

static const struct chapter chapters[] = {
    {&section_process, "process", "The program itself."},
    {&section_admin, "admin", "The runtime API. Off unless `socket` is given."},
    {&section_log, "log", "The process log on stderr, and the access log."},
    {&section_frontend, "frontends.NAME",
     "Where clients arrive. Besides these options a frontend has `listen` (one address, or a list of "
     "addresses and mappings) and `routes` (a list; the first match wins)."},
    {&section_listen, "frontends.NAME.listen[]", "A listener that is more than an address."},
    {&section_certificate, "frontends.NAME.listen[].tls.certificates[]",
     "A listener with `tls` has `certificates`: a mapping, or a list of them. A client gets the one that "
     "is for the name that it asks for (exactly, or by a wildcard), else the first. Beside an RSA "
     "certificate for a name there may be an ECDSA one. Files are read at start and at a reload."},
    {&section_route, "frontends.NAME.routes[]",
     "Sends what matches `host` and `path` to a backend. One of the two must be given."},
    {&section_backend, "backends.NAME",
     "A set of servers. Besides these options a backend has `servers`: a list of addresses, or a mapping "
     "of names to addresses or mappings."},
    {&section_server, "backends.NAME.servers.NAME",
     "One Socket.IO process. A server that is given as an address only is named by it."},
    {&section_sentinel, "sentinel, sentinel[]",
     "A Redis master that sentinel-watch follows: one mapping, or a list of mappings for several "
     "masters. limpet itself only takes the paths of signals from here, which it does not forward from "
     "clients."},
};

static const char *type_words(const struct option *option)
{
    switch (option->type) {
    case OPTION_BOOL:
        return "`true` or `false`";
    case OPTION_INT:
        return "number";
    case OPTION_AUTO_INT:
        return "`auto` or number";
    case OPTION_SIZE:
        return "size";
    case OPTION_DURATION:
        return "duration";
    case OPTION_RATE:
        return "rate";
    case OPTION_STRING:
        return "text";
    case OPTION_SECRET:
        return "secret text";
    case OPTION_STRINGS:
        return "text or list of texts";
    case OPTION_SECRETS:
        return "secret text or list of them";
    case OPTION_PAIRS:
        return "mapping of texts";
    case OPTION_NETMASKS:
        return "list of networks";
    case OPTION_STATUSES:
        return "list of statuses";
    case OPTION_ENUM:
        return "one of ";
    case OPTION_ENUMS:
        return "list of ";
    case OPTION_MODE:
        return "file mode";
    }
    return "";
}

/* Text inside a table's cell. */
static void print_cell(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '|' || *text == '<' || *text == '*')
            putc('\\', out);
        putc(*text, out);
    }
}

static void print_type(const struct option *option, FILE *out)
{
    fputs(type_words(option), out);
    for (size_t i = 0; option->choices && option->choices->words[i]; i++)
        fprintf(out, "%s`%s`", i > 0 ? ", " : "", option->choices->words[i]);
    char low[VALUE_TEXT_MAX], high[VALUE_TEXT_MAX];
    bool plain = option->type != OPTION_MODE && option->type != OPTION_STATUSES;
    if (plain && (option->min != 0 || option->max != 0))
        fprintf(out, ", %s to %s", value_format(option, option->min, low),
                value_format(option, option->max, high));
}

static void print_default(const struct option *option, FILE *out)
{
    const char *text = option_default(option);
    if (text)
        fprintf(out, "`%s`", text);
    else
        fputs(option->default_text == option_required ? "must be given" : "none", out);
}

static void print_chapter(const struct chapter *chapter, FILE *out)
{
    fprintf(out, "\n## %s\n\n%s\n\n", chapter->title, chapter->intro);
    fputs("| option | value | default | meaning |\n|---|---|---|---|\n", out);
    section_each(row, chapter->section)
    {
        fprintf(out, "| `%s` | ", row->path);
        print_type(row, out);
        fputs(" | ", out);
        print_default(row, out);
        fputs(" | ", out);
        print_cell(row->help, out);
        fputs(row->default_text == option_key ? " Must be given with its group." : "", out);
        fputs(row->reload == OPTION_RESTART ? " Needs a restart. |\n" : " |\n", out);
    }
}

static const char preamble[] =
    "# Options\n"
    "\n"
    "<!-- Written by `limpet config reference` from config/options.def; do not edit. -->\n"
    "\n"
    "A configuration is one YAML file with the sections below. A dot stands for a level: `timeouts.connect`\n"
    "is `timeouts: {connect: 1s}`. `defaults` may hold any option of frontends and backends once for all;\n"
    "`version: 1` may stand at the top; `sentinel` is for sentinel-watch; keys that\n"
    "begin with `x-` are ignored everywhere, for YAML anchors. `limpet check -f FILE` says what is wrong\n"
    "with a file, `limpet config dump -f FILE` what it amounts to.\n"
    "\n"
    "| value | is written |\n"
    "|---|---|\n"
    "| duration | `500ms`, `30s`, `5m`, `1h`, `1d`; the unit is needed |\n"
    "| size | `512` (bytes), `16KiB` (1024 each), `16KB` (1000 each), likewise `M`, `G`, `T` |\n"
    "| rate | `20/s`, `100/m`, `20/10s`; `0` is no limit |\n"
    "| statuses | `200`, `200-299`, `200,204`, or a list |\n"
    "| networks | `10.0.0.0/8`, `::1`, or a list |\n"
    "| address | `HOST:PORT`, `[IPv6]:PORT`, `unix:PATH`; to listen also `:PORT` |\n"
    "\n"
    "`${VAR}`, `${VAR:-default}` and `${VAR:?message}` stand for environment variables, `$$` for a `$`; a\n"
    "variable that is not set is an error. Names consist of letters, digits and `_ . : -`.\n"
    "\n"
    "A reload applies an option at once, unless it says \"needs a restart\".\n";

void config_print_reference(FILE *out)
{
    fputs(preamble, out);
    for (size_t i = 0; i < array_len(chapters); i++)
        print_chapter(&chapters[i], out);
}

/* ---- starter ----------------------------------------------------------------------------------
 */

static const char starter[] =
    "# yaml-language-server: $schema=limpet.schema.json\n"
    "# A limpet configuration. `limpet check -f FILE` checks it; docs/options.md lists every option.\n"
    "version: 1\n"
    "\n"
    "process:\n"
    "  workers: auto           # threads; auto = one per usable CPU\n"
    "  grace: 30s              # longest graceful stop\n"
    "  # user: limpet          # dropped to after binding, when started as root\n"
    "\n"
    "# admin:\n"
    "#   socket: /run/limpet/limpet.sock   # runtime API\n"
    "#   level: admin                      # user | operator | admin\n"
    "#   http: 127.0.0.1:8404              # dashboard, /metrics, /healthz, /readyz\n"
    "\n"
    "log:\n"
    "  level: info             # error | warning | info | debug\n"
    "  access: {format: haproxy, to: stderr}   # haproxy | json | off\n"
    "\n"
    "frontends:\n"
    "  main:\n"
    "    listen: \":8080\"       # IPv4 and IPv6\n"
    "    # trusted_proxies: [10.0.0.0/8]     # whose X-Forwarded-* are believed\n"
    "    # routes:                           # first match wins\n"
    "    #   - {host: chat.example.com, path: /socket.io/, backend: chat}\n"
    "    backend: chat         # where everything else goes\n"
    "\n"
    "backends:\n"
    "  chat:\n"
    "    balance: leastconn    # leastconn | roundrobin | random | source | hash\n"
    "    sticky: [sid, cookie] # what names a request's owner, in this order\n"
    "    health:\n"
    "      # http: {path: /health}           # without it: connecting is enough\n"
    "      interval: 2s\n"
    "      fall: 3\n"
    "    servers:\n"
    "      app01: 127.0.0.1:3001\n"
    "      app02: 127.0.0.1:3002\n"
    "      # app03: {address: 127.0.0.1:3003, weight: 2, max_connections: 5000}\n";

void config_print_starter(FILE *out)
{
    fputs(starter, out);
}
