// SPDX-License-Identifier: Apache-2.0
/*
 * The runtime API: commands and their answers without sockets, then lines, prompt, time limits and
 * back-pressure over a real unix socket, then `limpet ctl` against it.
 */
#include "lb/admin.h"

#include "base/console.h"
#include "lb/admin_command.h"
#include "lb/cli_ctl.h"
#include "lb/events.h"
#include "lb/states.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/stats_house.h"

#include <cmocka.h>

/* ---- commands ---- */

struct desk {
    struct house *house;
    struct loop loop;
    struct shelf *shelf;
    struct admin_caller caller;
    char *answer; /* of the last ask */
};

static int desk_open(void **state)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    desk->house = house_new();
    desk->shelf = shelf_new();
    if (!loop_init(&desk->loop, desk))
        return -1;
    house_watch = watch_new(&desk->house->serving, &desk->loop, desk->shelf);
    desk->caller = (struct admin_caller){.serving = &desk->house->serving,
                                         .level = ADMIN_LEVEL_ADMIN,
                                         .timeout_ms = ADMIN_TIMEOUT_MS};
    *state = desk;
    return 0;
}

static int desk_close(void **state)
{
    struct desk *desk = *state;
    watch_stop(house_watch);
    loop_fini(&desk->loop);
    watch_free(house_watch);
    shelf_free(desk->shelf);
    events_fini(&desk->house->serving);
    house_free(desk->house);
    free(desk->answer);
    free(desk);
    return 0;
}

static const char *ask(struct desk *desk, const char *command)
{
    struct text *answer = &desk->caller.answer;
    admin_run(&desk->caller, span_str(command));
    free(desk->answer);
    desk->answer = calloc(1, answer->len + 1);
    if (answer->len > 0)
        memcpy(desk->answer, answer->data, answer->len);
    text_free(answer);
    return desk->answer;
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static void words_and_blanks(void **state)
{
    struct desk *desk = *state;
    assert_string_equal(ask(desk, "show version"), LIMPET_VERSION "\n");
    assert_string_equal(ask(desk, " \t show   version \r"), LIMPET_VERSION "\n");
    assert_string_equal(ask(desk, "show version # a comment"), LIMPET_VERSION "\n");
    assert_string_equal(ask(desk, "sh\\ow version"), LIMPET_VERSION "\n");
    assert_true(starts(ask(desk, "show\\ version"), "Unknown command"));
    assert_string_equal(ask(desk, "show table a\\;b\\\\"), "No such table\n");
    char many[200];
    for (size_t i = 0; i < sizeof(many) - 1; i++)
        many[i] = "a "[i % 2];
    many[sizeof(many) - 1] = '\0';
    assert_string_equal(ask(desk, many), "Too many words.\n");
}

static void unknown_commands(void **state)
{
    struct desk *desk = *state;
    static const char like[] =
        "Unknown command, but maybe one of the following ones is a better match:\n";
    static const char any[] = "Unknown command. Please enter one of the following commands only:\n";
    static const char tail[] =
        "  help [<command>]                        : list matching or all commands\n"
        "  prompt                                  : toggle interactive mode with prompt\n"
        "  quit                                    : disconnect\n";
    const char *answer = ask(desk, "show versio");
    assert_true(starts(answer, like));
    assert_non_null(strstr(answer, "\n  show version  "));
    assert_null(strstr(answer, "severity"));
    assert_string_equal(answer + strlen(answer) - strlen(tail), tail);
    assert_true(starts(ask(desk, "shwo stat"), like));
    assert_true(starts(ask(desk, "show"), like));
    assert_true(starts(ask(desk, "show nonsense"), like));
    assert_true(starts(ask(desk, "nonsense"), any));
    answer = ask(desk, "");
    assert_true(starts(answer, any));
    assert_null(strstr(answer, "\n\n"));
    // The words that fit go before those that are only alike.
    answer = ask(desk, "set maxconn foo");
    assert_true(starts(answer, like));
    assert_non_null(strstr(answer, "\n  set maxconn global "));
    assert_null(strstr(answer, "\n  get weight "));
    assert_string_equal(ask(desk, "show stat nonsense"), "Unexpected argument 'nonsense'.\n");
    assert_string_equal(ask(desk, "show info \"\n"), "Unexpected argument '\\x22\\x0A'.\n");
}

static void help(void **state)
{
    struct desk *desk = *state;
    assert_true(starts(ask(desk, "help"), "The following commands are valid at this level:\n"));
    assert_non_null(strstr(desk->answer, "\n  show stat "));
    assert_non_null(strstr(desk->answer, "\n  operator "));
    ask(desk, "help show");
    assert_non_null(strstr(desk->answer, "\n  show stat "));
    assert_null(strstr(desk->answer, "\n  operator "));
    desk->caller.level = ADMIN_LEVEL_USER;
    ask(desk, "help");
    assert_null(strstr(desk->answer, "\n  operator "));
}

static void levels(void **state)
{
    struct desk *desk = *state;
    assert_string_equal(ask(desk, "show cli level"), "admin\n");
    assert_string_equal(ask(desk, "operator"), "");
    assert_string_equal(ask(desk, "show cli level"), "operator\n");
    assert_string_equal(ask(desk, "user"), "");
    assert_string_equal(ask(desk, "operator"), "Permission denied\n");
    assert_string_equal(ask(desk, "show cli level"), "user\n");
}

static void severities(void **state)
{
    struct desk *desk = *state;
    assert_string_equal(ask(desk, "set severity-output number"), "");
    assert_string_equal(ask(desk, "show table nope"), "[3]: No such table\n");
    assert_string_equal(ask(desk, "show version"), "[6]: " LIMPET_VERSION "\n");
    assert_true(starts(ask(desk, "nonsense"), "[6]: Unknown command. "));
    assert_true(starts(ask(desk, "show info"), "Name: "));
    ask(desk, "set severity-output string");
    assert_string_equal(ask(desk, "show table nope"), "[err]: No such table\n");
    ask(desk, "set severity-output none");
    assert_string_equal(ask(desk, "show table nope"), "No such table\n");
    assert_string_equal(ask(desk, "set severity-output loud"),
                        "one of 'none', 'number', 'string' is a required argument\n");
}

static void timeouts(void **state)
{
    struct desk *desk = *state;
    assert_string_equal(ask(desk, "set timeout cli 60"), "");
    assert_int_equal(desk->caller.timeout_ms, 60000);
    ask(desk, "set timeout cli 250ms");
    assert_int_equal(desk->caller.timeout_ms, 250);
    ask(desk, "set timeout cli 1m");
    assert_int_equal(desk->caller.timeout_ms, 60000);
    assert_string_equal(ask(desk, "set timeout cli 0"), "Invalid timeout value.\n");
    assert_string_equal(ask(desk, "set timeout cli abc"), "Invalid timeout value.\n");
    assert_string_equal(ask(desk, "set timeout cli 99999999999999999d"),
                        "Invalid timeout value.\n");
    assert_string_equal(ask(desk, "set timeout cli"), "Expects an integer value.\n");
    assert_string_equal(ask(desk, "set timeout server 3"), "'set timeout' only supports 'cli'.\n");
    assert_int_equal(desk->caller.timeout_ms, 60000);
}

static void show_stat_arguments(void **state)
{
    struct desk *desk = *state;
    assert_non_null(strstr(ask(desk, "show stat"), "\nbare,BACKEND,"));
    assert_null(strstr(ask(desk, "show stat sio 2 0"), "\nbare,BACKEND,"));
    assert_non_null(strstr(desk->answer, "\nsio,BACKEND,"));
    assert_non_null(strstr(ask(desk, "show stat 3 4 2"), "\nsio,b,"));
    assert_null(strstr(desk->answer, "\nsio,a,"));
    assert_non_null(strstr(ask(desk, "show stat -1 7 -1"), "\nsio,a,"));
    assert_string_equal(ask(desk, "show stat nope 1 0"), "No such proxy.\n");
    assert_true(starts(ask(desk, "show stat sio x 0"), "'show stat' expects "));
    assert_true(starts(ask(desk, "show stat 3 1"), "'show stat' expects "));
    assert_non_null(strstr(ask(desk, "show stat up no-maint"), "\nsio,a,"));
}

/* Session ids are credentials: a user sees how many there are, not which. */
static void users_see_no_sids(void **state)
{
    struct desk *desk = *state;
    struct backend *sio = desk->house->sio;
    sidmap_bind(sio->sids, SPAN("secret"), 0, 1000, clock_mono_ms());
    assert_non_null(strstr(ask(desk, "show table sio"), " key=secret "));
    assert_non_null(strstr(ask(desk, "operator"), ""));
    assert_non_null(strstr(ask(desk, "show table sio"), " key=secret "));
    ask(desk, "user");
    assert_string_equal(ask(desk, "show table sio"),
                        "# table: sio, type: string, size:1000, used:1\n");
    assert_null(strstr(ask(desk, "show stat"), "127.0.0.1"));
}

/* ---- servers ---- */

static void server_states(void **state)
{
    struct desk *desk = *state;
    struct server *a = desk->house->a;
    assert_string_equal(ask(desk, "set server sio/a state drain"), "");
    assert_int_equal(a->admin, SERVER_DRAIN);
    assert_false(server_usable(a));
    assert_true(server_alive(a));
    assert_string_equal(ask(desk, "disable server sio/a"), "");
    assert_int_equal(a->admin, SERVER_MAINT);
    assert_false(server_alive(a));
    assert_non_null(strstr(ask(desk, "show stat sio 4 1"), ",MAINT,"));
    assert_string_equal(ask(desk, "enable server sio/a"), "");
    assert_int_equal(a->admin, SERVER_READY);
    static const char expects[] =
        "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n";
    assert_string_equal(ask(desk, "set server sio/a state"), expects);
    assert_string_equal(ask(desk, "set server sio/a state up"), expects);
    assert_string_equal(ask(desk, "set server sio/a state drain now"), expects);
    assert_string_equal(ask(desk, "set server sio/z state drain"), "No such server.\n");
    assert_string_equal(ask(desk, "set server z/a state drain"), "No such backend.\n");
    assert_string_equal(ask(desk, "set server sio"), "Require 'backend/server'.\n");
    assert_true(starts(ask(desk, "set server sio/a colour red"), "usage: set server "));
    assert_non_null(strstr(ask(desk, "show events"), " state sio/a: draining (runtime API)\n"));
    assert_non_null(strstr(desk->answer, " state sio/a: in maintenance (runtime API)\n"));
    const char *last = ask(desk, "show events 1");
    assert_non_null(strstr(last, " state sio/a: ready (runtime API)\n"));
    assert_null(strstr(last, "draining"));
}

static void weights(void **state)
{
    struct desk *desk = *state;
    struct server *b = desk->house->b;
    assert_string_equal(ask(desk, "get weight sio/b"), "4 (initial 4)\n");
    assert_string_equal(ask(desk, "set weight sio/b 10"), "");
    assert_int_equal(b->weight_now, 10 * SERVER_WEIGHT_SCALE);
    assert_string_equal(ask(desk, "set server sio/b weight 50%"), "");
    assert_string_equal(ask(desk, "get weight sio/b"), "2 (initial 4)\n");
    assert_string_equal(ask(desk, "set weight sio/b 100%"), "");
    assert_string_equal(ask(desk, "set weight sio/b 0"), "");
    assert_false(server_usable(b));
    assert_non_null(strstr(ask(desk, "show stat sio 4 2"), ",DRAIN,"));
    assert_string_equal(ask(desk, "set weight sio/b 99999999999999999999%"), "");
    assert_int_equal(b->weight, 256);
    static const char absolute[] = "Absolute weight can only be between 0 and 256 inclusive.\n";
    assert_string_equal(ask(desk, "set weight sio/b 257"), absolute);
    assert_string_equal(ask(desk, "set weight sio/b -1"), absolute);
    assert_string_equal(ask(desk, "set weight sio/b -1%"), "Relative weight must be positive.\n");
    assert_string_equal(ask(desk, "set weight sio/b abc"),
                        "Empty weight string empty or preceded by garbage\n");
    assert_string_equal(ask(desk, "set weight sio/b 10x"), "Trailing garbage in weight string\n");
    assert_string_equal(ask(desk, "set weight sio/b"), "Require <weight> or <weight%>.\n");
    assert_int_equal(b->weight, 256);
}

static void limits_of_servers(void **state)
{
    struct desk *desk = *state;
    assert_string_equal(ask(desk, "set maxconn server sio/a 7"), "");
    assert_int_equal(desk->house->a->max_connections, 7);
    assert_string_equal(ask(desk, "set maxconn server sio/a"), "Require <maxconn>.\n");
    assert_string_equal(ask(desk, "set maxconn server sio/a x"), "Require <maxconn>.\n");
    assert_string_equal(ask(desk, "set maxconn frontend web 55"), "");
    assert_int_equal(desk->house->web->home->max_connections, 55);
    assert_string_equal(ask(desk, "set maxconn frontend web 0"), "");
    assert_int_equal(desk->house->web->home->max_connections, 2000);
    assert_string_equal(ask(desk, "set maxconn frontend nope 5"), "No such frontend.\n");
    desk->house->serving.hard_max_connections = 5000;
    assert_string_equal(ask(desk, "set maxconn global 500"), "");
    assert_int_equal(desk->house->serving.max_connections, 500);
    assert_string_equal(ask(desk, "set maxconn global 5001"), "Value out of range.\n");
    assert_string_equal(ask(desk, "set maxconn global 0"), "");
    assert_int_equal(desk->house->serving.max_connections, 5000);
}

static void addresses(void **state)
{
    struct desk *desk = *state;
    char text[ADDR_TEXT_MAX];
    assert_string_equal(ask(desk, "set server sio/a addr 127.0.0.1 port 13001"),
                        "no need to change the addr, no need to change the port by 'stats socket "
                        "command'\n");
    assert_string_equal(ask(desk, "set server sio/a addr 127.0.0.2"),
                        "IP changed from '127.0.0.1' to '127.0.0.2', no need to change the port by "
                        "'stats socket command'\n");
    assert_string_equal(ask(desk, "set server sio/a addr ::1 port 81"),
                        "IP changed from '127.0.0.2' to '::1', port changed from '13001' to '81' "
                        "by 'stats socket command'\n");
    assert_string_equal(addr_format(&desk->house->a->addr, text), "[::1]:81");
    assert_string_equal(ask(desk, "set server sio/a addr 1.2.3"),
                        "Invalid addr '1.2.3' by 'stats socket command'\n");
    assert_string_equal(ask(desk, "set server sio/a addr 1.2.3.4 port 0"), "Invalid port '0'.\n");
    assert_true(starts(ask(desk, "set server sio/a addr"), "set server <b>/<s> addr requires"));
}

static void health_by_hand(void **state)
{
    struct desk *desk = *state;
    assert_string_equal(ask(desk, "set server sio/a health down"), "");
    assert_int_equal(desk->house->a->health, SERVER_DOWN);
    assert_string_equal(ask(desk, "set server sio/a health up"), "");
    assert_int_equal(desk->house->a->health, SERVER_UP);
    assert_string_equal(ask(desk, "set server bare/only health down"), "");
    assert_string_equal(ask(desk, "set server bare/only health up"), "");
    assert_int_equal(desk->house->bare->health, SERVER_UNCHECKED);
    assert_string_equal(ask(desk, "enable health bare/only"),
                        "Health check was not configured on this server, cannot enable.\n");
    assert_string_equal(ask(desk, "disable health sio/a"), "");
    assert_non_null(strstr(ask(desk, "show servers state sio"), " a 127.0.0.1 1 0 1 1 "));
    assert_string_equal(ask(desk, "enable health sio/a"), "");
}

static void servers_listed(void **state)
{
    struct desk *desk = *state;
    assert_true(starts(ask(desk, "show servers state"), "1\n# be_id be_name srv_id "));
    assert_non_null(strstr(desk->answer, "\n3 sio 2 b 127.0.0.1 2 0 4 4 "));
    assert_non_null(strstr(desk->answer, "\n5 bare 1 only 127.0.0.1 2 0 1 1 "));
    assert_null(strstr(ask(desk, "show servers state sio"), " bare "));
    assert_string_equal(ask(desk, "show servers state nope"), "Can't find backend.\n");
    assert_true(starts(ask(desk, "show servers conn bare"), "# bkname/svname bkid/svid addr "));
    assert_non_null(
        strstr(desk->answer, "\nbare/only 5/1 127.0.0.1 13010 - 4000 0 0 0 0 0 -1 0 0 0\n"));
    assert_string_equal(ask(desk, "show backend"), "# name\nsio\nbare\n");
}

/* What `show servers state` says is understood by a new start. */
static void states_are_read_again(void **state)
{
    struct desk *desk = *state;
    struct house *house = desk->house;
    size_t taken;
    ask(desk, "set server sio/a state drain");
    ask(desk, "set server sio/b state maint");
    ask(desk, "set weight sio/b 7");
    ask(desk, "show servers state");
    struct server *servers[] = {house->a, house->b};
    for (size_t i = 0; i < array_len(servers); i++) {
        servers[i]->admin = SERVER_READY;
        servers[i]->weight = (int)servers[i]->config->opt.weight;
    }
    assert_true(states_read(house->serving.snapshot, span_str(desk->answer), &taken));
    assert_int_equal(taken, 4);
    assert_int_equal(house->a->admin, SERVER_DRAIN);
    assert_int_equal(house->b->admin, SERVER_MAINT);
    assert_int_equal(house->b->weight, 7);
    assert_int_equal(house->b->weight_now, 7 * SERVER_WEIGHT_SCALE);
    assert_int_equal(house->bare->admin, SERVER_READY);

    // The file of the configuration has changed its weight since: that one counts.
    static const char changed[] = "1\n# be_name srv_name srv_admin_state srv_uweight srv_iweight\n"
                                  "sio b 0 9 3\nsio gone 1 1 1\nsio a x 1 1\n\n";
    assert_true(states_read(house->serving.snapshot, span_str(changed), &taken));
    assert_int_equal(taken, 1);
    assert_int_equal(house->b->admin, SERVER_READY);
    assert_int_equal(house->b->weight, 7);
    assert_false(states_read(house->serving.snapshot, SPAN("2\n# be_name\n"), &taken));
    assert_false(states_read(house->serving.snapshot, SPAN("1\n# be_name srv_name\n"), &taken));
    assert_false(states_read(house->serving.snapshot, SPAN(""), &taken));
}

static void tables_cleared(void **state)
{
    struct desk *desk = *state;
    struct sidmap *sids = desk->house->sio->sids;
    int64_t now = clock_mono_ms();
    sidmap_bind(sids, SPAN("one"), 0, 60000, now);
    sidmap_bind(sids, SPAN("two"), 1, 60000, now);
    assert_true(starts(ask(desk, "sio where two"), "sio/b alive age=0s lifetime=65s\n"));
    assert_non_null(strstr(ask(desk, "sio sids sio"), "\none sio/a 0 "));
    assert_string_equal(ask(desk, "sio sids nope"), "No such backend.\n");
    assert_non_null(strstr(ask(desk, "show table sio key two"), " key=two "));
    assert_null(strstr(desk->answer, " key=one "));
    assert_string_equal(ask(desk, "clear table sio key one"), "");
    assert_string_equal(ask(desk, "sio where one"), "No such session.\n");
    assert_string_equal(ask(desk, "clear table sio"), "");
    assert_int_equal(sidmap_used(sids), 0);
    assert_string_equal(ask(desk, "clear table nope"), "No such table\n");
    assert_string_equal(ask(desk, "clear table sio key"), "Key value expected\n");
    assert_true(starts(ask(desk, "clear table"), "Required arguments: <table>"));
    assert_non_null(strstr(ask(desk, "sio transports"), "\nsio/a 0 0 0 0 0\n"));
}

static void typed_and_json(void **state)
{
    struct desk *desk = *state;
    assert_true(starts(ask(desk, "show info typed"), "0.Name.1:POS:str:limpet\n"));
    assert_non_null(strstr(ask(desk, "show info typed desc"), ":\"worker threads\"\n"));
    assert_true(starts(ask(desk, "show info json"),
                       "[{\"field\":{\"pos\":0,\"name\":\"Name\"},\"processNum\":1,\"tags\":{"
                       "\"origin\":\"Product\",\"nature\":\"Output\",\"scope\":\"Service\"},"
                       "\"value\":{\"type\":\"str\",\"value\":\"limpet\"}},{"));
    assert_non_null(strstr(ask(desk, "show stat typed"), "\nS.3.2.18.weight.1:MaP:u32:4\n"));
    assert_true(starts(desk->answer, "F.2.0.0.pxname.1:KNS:str:web\n"));
    assert_null(strstr(desk->answer, "qlimit"));
    assert_true(starts(ask(desk, "show stat sio 4 2 json"),
                       "[[{\"objType\":\"Server\",\"proxyId\":3,\"id\":2,"));
    assert_string_equal(desk->answer + strlen(desk->answer) - 5, "}}]]\n");
    assert_non_null(strstr(ask(desk, "show stat json up"), "}}],[{"));
}

static void errors_kept(void **state)
{
    struct desk *desk = *state;
    struct capture_what what = {
        .number = 7, .wall_ms = clock_wall_ms(), .reason = "a bad name", .at = 16};
    assert_true(starts(ask(desk, "show errors"), "Total events captured on ["));
    capture_take(desk->house->web->home->bad_request, &what,
                 SPAN("GET / HTTP/1.1\r\nB\x01"
                      "d\\: x\r\n\r\n"));
    const char *answer = ask(desk, "show errors web");
    assert_non_null(strstr(answer, "] frontend web (#2): invalid request\n"));
    assert_non_null(strstr(answer, "event #7, src "));
    assert_non_null(strstr(answer, "  len 27, error at position 16: a bad name :\n  \n"
                                   "  00000  GET / HTTP/1.1\\r\\n\n"
                                   "  00016  B\\x01d\\\\: x\\r\\n\n"
                                   "  00025  \\r\\n\n"));
    assert_null(strstr(answer, "\n\n"));
    assert_null(strstr(ask(desk, "show errors web response"), "invalid"));
    assert_null(strstr(ask(desk, "show errors sio"), "invalid"));
    assert_non_null(strstr(ask(desk, "show errors 2 request"), "invalid request"));
    assert_string_equal(ask(desk, "show errors nope"), "No such proxy.\n");
    assert_string_equal(ask(desk, "show errors web both"),
                        "Expects either 'request' or 'response'.\n");
}

static void levels_of_commands(void **state)
{
    struct desk *desk = *state;
    ask(desk, "operator");
    assert_string_equal(ask(desk, "set weight sio/a 2"), "Permission denied\n");
    assert_string_equal(ask(desk, "disable server sio/a"), "Permission denied\n");
    assert_string_equal(ask(desk, "clear counters all"), "Permission denied\n");
    assert_string_equal(ask(desk, "get weight sio/a"), "1 (initial 1)\n");
    assert_true(starts(ask(desk, "show config"), "version: 1\n"));
    assert_null(strstr(desk->answer, "\n\n"));
    ask(desk, "user");
    assert_string_equal(ask(desk, "sio where x"), "Permission denied\n");
    assert_string_equal(ask(desk, "show errors"), "Permission denied\n");
    assert_string_equal(ask(desk, "show config"), "Permission denied\n");
    assert_true(starts(ask(desk, "show servers state"), "1\n"));
}

/* docs/runtime.md is what the tables say. LIMPET_UPDATE=1 writes it. */
static void the_reference_is_current(void **state)
{
    (void)state;
    char *now = NULL, *kept = calloc(1, 1 << 20);
    size_t len = 0;
    FILE *out = open_memstream(&now, &len);
    admin_print_reference(out);
    fclose(out);
    const char *update = getenv("LIMPET_UPDATE");
    FILE *file = fopen("docs/runtime.md", update != NULL ? "w+" : "r");
    assert_non_null(file);
    if (update != NULL)
        fwrite(now, 1, len, file);
    rewind(file);
    size_t got = fread(kept, 1, (1 << 20) - 1, file);
    fclose(file);
    assert_int_equal(got, len);
    assert_string_equal(kept, now);
    free(now);
    free(kept);
}

/* ---- the socket ---- */

struct socket_house {
    struct house *house;
    struct loop loop;
    struct shelf *shelf;
    struct console *admin;
    char path[64];
    int fd; /* the caller's end */
};

static int socket_connect(const struct socket_house *s)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    memcpy(addr.sun_path, s->path, sizeof(s->path));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int socket_open(void **state)
{
    struct socket_house *s = calloc(1, sizeof(*s));
    snprintf(s->path, sizeof(s->path), "/tmp/limpet-admin-%d.sock", (int)getpid());
    s->house = house_new();
    struct addr addr = {.un = {.sun_family = AF_UNIX}, .len = sizeof(addr.un)};
    memcpy(addr.un.sun_path, s->path, sizeof(s->path));
    s->shelf = shelf_new();
    *state = s;
    int listener = net_listen(&addr, 16, false);
    if (listener < 0 || !loop_init(&s->loop, s))
        return -1;
    s->admin = admin_console(&s->house->serving, &s->loop, s->shelf, listener);
    s->fd = socket_connect(s);
    return s->admin == NULL;
}

static int socket_close(void **state)
{
    struct socket_house *s = *state;
    if (s->fd >= 0)
        close(s->fd);
    console_free(s->admin);
    loop_fini(&s->loop);
    shelf_free(s->shelf); /* asserts that every block is back */
    unlink(s->path);
    house_free(s->house);
    free(s);
    return 0;
}

static void send_text(struct socket_house *s, const char *text)
{
    assert_int_equal(send(s->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Takes what comes until `enough` bytes, the end ("<end>" is appended) or a moment of silence. */
static char *receive(struct socket_house *s, size_t enough)
{
    static char *got;
    size_t len = 0, cap = 1 << 16;
    free(got);
    got = calloc(1, cap + 16);
    for (int quiet = 0; quiet < 20 && len < enough;) {
        loop_turn(&s->loop, 2);
        ssize_t n = recv(s->fd, got + len, cap - len, 0);
        if (n == 0) {
            memcpy(got + len, "<end>", sizeof("<end>"));
            break;
        }
        quiet = n < 0 ? quiet + 1 : 0;
        len += n > 0 ? (size_t)n : 0;
        if (len == cap) {
            got = realloc(got, 2 * cap + 16);
            memset(got + cap, 0, cap + 16);
            cap *= 2;
        }
    }
    return got;
}

static char *talk(struct socket_house *s, const char *text)
{
    send_text(s, text);
    return receive(s, SIZE_MAX);
}

#define V LIMPET_VERSION "\n"

static void one_line_then_close(void **state)
{
    struct socket_house *s = *state;
    assert_string_equal(talk(s, "show version\n"), V "\n<end>");
}

static void commands_of_one_line(void **state)
{
    struct socket_house *s = *state;
    assert_string_equal(talk(s, "show version;show table nope; show version ;\r\n"),
                        V "\nNo such table\n\n" V "\n<end>");
}

static void escaped_semicolon(void **state)
{
    struct socket_house *s = *state;
    assert_string_equal(talk(s, "show table a\\;show;show version\n"),
                        "No such table\n\n" V "\n<end>");
}

static void settings_last_for_the_line(void **state)
{
    struct socket_house *s = *state;
    assert_string_equal(talk(s, "set severity-output number;show table nope\n"),
                        "\n[3]: No such table\n\n<end>");
}

static void quit_answers_nothing(void **state)
{
    struct socket_house *s = *state;
    assert_string_equal(talk(s, "quit;show version\n"), "<end>");
}

static void prompt_mode(void **state)
{
    struct socket_house *s = *state;
    assert_string_equal(talk(s, "prompt\n"), "\n> ");
    assert_string_equal(talk(s, "set timeout cli 60\n"), "\n> ");
    assert_string_equal(talk(s, "show version\n"), V "\n> ");
    assert_string_equal(talk(s, "show version;show version\r\nshow version\n"),
                        V "\n> " V "\n> " V "\n> ");
    assert_string_equal(talk(s, "quit\n"), "<end>");
}

static void prompt_and_back(void **state)
{
    struct socket_house *s = *state;
    assert_string_equal(talk(s, "prompt;show version\n"), "\n> " V "\n> ");
    assert_string_equal(talk(s, "prompt\n"), "\n<end>");
}

static void bytes_come_one_by_one(void **state)
{
    struct socket_house *s = *state;
    const char *line = "show version;show version\n";
    for (const char *c = line; *c != '\0'; c++) {
        char one[2] = {*c, '\0'};
        send_text(s, one);
        loop_turn(&s->loop, 0);
        loop_turn(&s->loop, 0);
    }
    assert_string_equal(receive(s, SIZE_MAX), V "\n" V "\n<end>");
}

static void a_last_line_needs_no_end(void **state)
{
    struct socket_house *s = *state;
    send_text(s, "show version");
    shutdown(s->fd, SHUT_WR);
    assert_string_equal(receive(s, SIZE_MAX), V "\n<end>");
}

static void half_closed_callers_are_answered(void **state)
{
    struct socket_house *s = *state;
    send_text(s, "show version;show version\n");
    shutdown(s->fd, SHUT_WR);
    assert_string_equal(receive(s, SIZE_MAX), V "\n" V "\n<end>");
}

static void silent_end(void **state)
{
    struct socket_house *s = *state;
    shutdown(s->fd, SHUT_WR);
    assert_string_equal(receive(s, SIZE_MAX), "<end>");
}

static void long_lines_are_refused(void **state)
{
    struct socket_house *s = *state;
    static char line[ADMIN_LINE_MAX + 2];
    memset(line, 'a', sizeof(line) - 1);
    assert_string_equal(talk(s, line), "The line is longer than 16384 bytes.\n\n<end>");
}

static void the_longest_line_is_not(void **state)
{
    struct socket_house *s = *state;
    static char line[ADMIN_LINE_MAX + 1];
    memset(line, ' ', sizeof(line) - 1);
    memcpy(line + sizeof(line) - 1 - 13, "show version\n", 13);
    assert_string_equal(talk(s, line), V "\n<end>");
}

static void idle_callers_end(void **state)
{
    struct socket_house *s = *state;
    assert_string_equal(talk(s, "prompt;set timeout cli 20ms\n"), "\n> \n> <end>");
}

/* Many entries, so that an answer is larger than any socket buffer. */
static void fill_table(struct socket_house *s, size_t entries)
{
    char sid[32];
    for (size_t i = 0; i < entries; i++) {
        int len = snprintf(sid, sizeof(sid), "sid-%010zu", i);
        sidmap_bind(s->house->serving.snapshot->backends[1]->sids, span_of(sid, (size_t)len), 0,
                    600000, clock_mono_ms());
    }
}

static void large_answers_arrive_whole(void **state)
{
    struct socket_house *s = *state;
    fill_table(s, 20000);
    const char *answer = talk(s, "show table bare;show version\n");
    assert_true(starts(answer, "# table: bare, type: string, size:1000000, used:20000\n"));
    size_t keys = 0;
    for (const char *at = answer; (at = strstr(at, " key=sid-")) != NULL; at++)
        keys++;
    assert_int_equal(keys, 20000);
    assert_string_equal(answer + strlen(answer) - strlen("only\n\n" V "\n<end>"),
                        "only\n\n" V "\n<end>");
}

/* Who takes nothing is closed after its timeout, with its answer cut. */
static void slow_readers_end(void **state)
{
    struct socket_house *s = *state;
    fill_table(s, 20000);
    send_text(s, "set timeout cli 100ms;show table bare\n");
    int64_t until = clock_mono_ms() + 400;
    while (clock_mono_ms() < until)
        loop_turn(&s->loop, 10);
    const char *answer = receive(s, SIZE_MAX);
    assert_true(strlen(answer) < 1000000);
    assert_string_equal(answer + strlen(answer) - 5, "<end>");
}

static void callers_do_not_hold_each_other_up(void **state)
{
    struct socket_house *s = *state;
    int others[80];
    assert_string_equal(talk(s, "prompt\n"), "\n> ");
    for (size_t i = 0; i < 80; i++) {
        others[i] = socket_connect(s);
        loop_turn(&s->loop, 0);
    }
    assert_string_equal(talk(s, "show version\n"), V "\n> ");
    for (size_t i = 0; i < 80; i++)
        close(others[i]);
    assert_string_equal(talk(s, "show version\n"), V "\n> ");
}

/* ---- limpet ctl ---- */

/* Runs `limpet ctl -s PATH words…` in another process while the loop turns; its output is in `out`.
 */
static int ctl(struct socket_house *s, const char *word1, const char *word2, const char *word3,
               char *out, size_t size)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        char path[sizeof(s->path)], words[3][64];
        char *argv[7] = {(char *)"ctl", (char *)"-s", path};
        const char *given[] = {word1, word2, word3};
        int argc = 3;
        memcpy(path, s->path, sizeof(path));
        for (size_t i = 0; i < 3 && given[i] != NULL; i++) {
            snprintf(words[i], sizeof(words[i]), "%s", given[i]);
            argv[argc++] = words[i];
        }
        dup2(pipes[1], 1);
        dup2(pipes[1], 2);
        int code = cli_ctl(argc, argv);
        fflush(stdout);
        _exit(code);
    }
    close(pipes[1]);
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    size_t len = 0;
    for (ssize_t n = -1; n != 0;) {
        loop_turn(&s->loop, 2);
        n = read(pipes[0], out + len, size - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    out[len] = '\0';
    close(pipes[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void ctl_prints_answers(void **state)
{
    struct socket_house *s = *state;
    char out[8192];
    assert_int_equal(ctl(s, "show", "version", NULL, out, sizeof(out)), 0);
    assert_string_equal(out, V);
    assert_int_equal(ctl(s, "show version;show version", NULL, NULL, out, sizeof(out)), 0);
    assert_string_equal(out, V "\n" V);
    assert_int_equal(ctl(s, "show", "info", NULL, out, sizeof(out)), 0);
    assert_true(starts(out, "Name: limpet\n"));
    assert_int_equal(ctl(s, "set timeout cli", "60", NULL, out, sizeof(out)), 0);
    assert_string_equal(out, "");
}

static void ctl_tells_errors(void **state)
{
    struct socket_house *s = *state;
    char out[8192];
    assert_int_equal(ctl(s, "show", "table", "nope", out, sizeof(out)), 1);
    assert_string_equal(out, "No such table\n");
    assert_int_equal(ctl(s, "show nonsense", NULL, NULL, out, sizeof(out)), 1);
    assert_true(starts(out, "Unknown command, but"));
    assert_int_equal(ctl(s, "show table nope;show version", NULL, NULL, out, sizeof(out)), 1);
    assert_string_equal(out, "No such table\n\n" V);
    assert_int_equal(ctl(s, NULL, NULL, NULL, out, sizeof(out)), 1);
    assert_true(starts(out, "usage: limpet ctl "));
    s->path[strlen(s->path) - 1] = 'X';
    assert_int_equal(ctl(s, "show", "info", NULL, out, sizeof(out)), 2);
    s->path[strlen(s->path) - 1] = 'k';
    assert_true(starts(out, "limpet ctl: cannot connect to "));
}

#define desk_test(name)   cmocka_unit_test_setup_teardown(name, desk_open, desk_close)
#define socket_test(name) cmocka_unit_test_setup_teardown(name, socket_open, socket_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        desk_test(words_and_blanks),
        desk_test(unknown_commands),
        desk_test(help),
        desk_test(levels),
        desk_test(severities),
        desk_test(timeouts),
        desk_test(show_stat_arguments),
        desk_test(users_see_no_sids),
        desk_test(server_states),
        desk_test(weights),
        desk_test(limits_of_servers),
        desk_test(addresses),
        desk_test(health_by_hand),
        desk_test(servers_listed),
        desk_test(states_are_read_again),
        desk_test(tables_cleared),
        desk_test(typed_and_json),
        desk_test(errors_kept),
        desk_test(levels_of_commands),
        desk_test(the_reference_is_current),
        socket_test(one_line_then_close),
        socket_test(commands_of_one_line),
        socket_test(escaped_semicolon),
        socket_test(settings_last_for_the_line),
        socket_test(quit_answers_nothing),
        socket_test(prompt_mode),
        socket_test(prompt_and_back),
        socket_test(bytes_come_one_by_one),
        socket_test(a_last_line_needs_no_end),
        socket_test(half_closed_callers_are_answered),
        socket_test(silent_end),
        socket_test(long_lines_are_refused),
        socket_test(the_longest_line_is_not),
        socket_test(idle_callers_end),
        socket_test(large_answers_arrive_whole),
        socket_test(slow_readers_end),
        socket_test(callers_do_not_hold_each_other_up),
        socket_test(ctl_prints_answers),
        socket_test(ctl_tells_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
