// SPDX-License-Identifier: Apache-2.0
/* What outlives a serving process: sockets bound once, for all workers, and unix sockets' names. */
#include "lb/bindings.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORKERS = 3 };

static char folder[64];

__attribute__((format(printf, 1, 2))) static struct config *load(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct problems problems;
    struct config *config = config_load_text("test", span_str(text), &problems);
    if (!config)
        problems_print(&problems, "test", false, stderr);
    problems_free(&problems);
    assert_non_null(config);
    return config;
}

#define BACKEND "backends: {b: {servers: [\"127.0.0.1:1\"]}}\n"

static void port_0_is_one_port_for_all_workers(void **state)
{
    (void)state;
    struct config *config = load("frontends: {f: {listen: \"127.0.0.1:0\", backend: b}}\n" BACKEND);
    struct bindings bindings;
    assert_true(bindings_open(&bindings, config, WORKERS));
    assert_int_equal(bindings.count, 1);
    uint16_t port = addr_port(&bindings.list[0].addr);
    assert_int_not_equal(port, 0);
    for (int i = 0; i < WORKERS; i++) {
        struct addr addr;
        assert_true(net_local_addr(bindings.list[0].fds[i], &addr));
        assert_int_equal(addr_port(&addr), port);
    }
    bindings_close(&bindings, true);
    config_free(config);
}

static void an_address_in_use_is_refused(void **state)
{
    (void)state;
    struct config *config = load("frontends: {f: {listen: \"127.0.0.1:0\", backend: b}}\n" BACKEND);
    struct bindings first;
    assert_true(bindings_open(&first, config, WORKERS));
    struct config *same = load("frontends: {f: {listen: \"127.0.0.1:%u\", backend: b}}\n" BACKEND,
                               addr_port(&first.list[0].addr));
    struct bindings second;
    // SO_REUSEPORT alone would allow it.
    assert_false(bindings_open(&second, same, WORKERS));
    bindings_close_listeners(&first);
    assert_true(bindings_open(&second, same, WORKERS));
    bindings_close(&first, true);
    bindings_close(&second, true);
    config_free(config);
    config_free(same);
}

static void unix_sockets_have_their_mode_and_go_at_the_end(void **state)
{
    (void)state;
    struct config *config = load(
        "admin: {socket: %s/admin.sock, socket_mode: \"0600\"}\n"
        "frontends: {f: {listen: \"unix:%s/front.sock\", backend: b}}\n" BACKEND,
        folder, folder);
    char admin[96], front[96];
    snprintf(admin, sizeof(admin), "%s/admin.sock", folder);
    snprintf(front, sizeof(front), "%s/front.sock", folder);
    struct bindings bindings;
    assert_true(bindings_open(&bindings, config, WORKERS));
    struct stat info;
    assert_int_equal(stat(admin, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(stat(front, &info), 0);

    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    bindings_print(&bindings, config, out);
    fclose(out);
    char expected[256];
    snprintf(expected, sizeof(expected), " f=unix:%s admin.socket=%s", front, admin);
    assert_string_equal(text, expected);
    free(text);

    bindings_close(&bindings, true);
    assert_int_equal(access(admin, F_OK), -1);
    assert_int_equal(access(front, F_OK), -1);
    config_free(config);
}

static void a_successors_socket_stays(void **state)
{
    (void)state;
    struct config *config = load(
        "frontends: {f: {listen: \"unix:%s/front.sock\", backend: b}}\n" BACKEND, folder);
    char front[96];
    snprintf(front, sizeof(front), "%s/front.sock", folder);
    struct bindings old, next;
    assert_true(bindings_open(&old, config, 1));
    bindings_close_listeners(&old);
    assert_true(bindings_open(&next, config, 1));
    bindings_close(&old, true);
    assert_int_equal(access(front, F_OK), 0);
    bindings_close(&next, true);
    assert_int_equal(access(front, F_OK), -1);
    config_free(config);
}

static void session_tables_are_made_as_needed(void **state)
{
    (void)state;
    struct config *config = load("frontends: {f: {listen: \"127.0.0.1:0\", backend: b}}\n"
                                 "backends:\n  b: {servers: [\"127.0.0.1:1\"]}\n"
                                 "  c: {servers: [\"127.0.0.1:1\"], cookie: {mode: insert}}\n"
                                 "  d: {servers: [\"127.0.0.1:1\"], sticky: [sid]}\n");
    struct bindings bindings;
    assert_true(bindings_open(&bindings, config, 1));
    assert_int_equal(bindings.table_count, 6);
    assert_true(bindings.table_fds[0] >= 0 && bindings.table_fds[1] >= 0);
    assert_true(bindings.table_fds[2] >= 0 && bindings.table_fds[3] < 0);
    assert_true(bindings.table_fds[4] >= 0 && bindings.table_fds[5] < 0);
    bindings_close(&bindings, true);
    config_free(config);
}

static void another_configuration_shares_what_is_open(void **state)
{
    (void)state;
    struct config *first = load("frontends: {f: {listen: [\"127.0.0.1:0\"], backend: b},\n"
                                "  g: {listen: \"127.0.0.1:0\", backend: b}}\n" BACKEND);
    struct config *second = load("frontends: {g: {listen: \"127.0.0.1:0\", backend: b},\n"
                                 "  h: {listen: \"127.0.0.1:0\", backend: b}}\n"
                                 "backends: {c: {servers: [\"127.0.0.1:1\"]},\n"
                                 "  b: {servers: [\"127.0.0.1:1\"]}}\n");
    struct bindings now, next;
    assert_true(bindings_open(&now, first, WORKERS));
    int kept = now.list[1].fds[0], table = now.table_fds[0];
    unsigned id = now.list[1].id;
    assert_true(bindings_renew(&next, &now, second));
    assert_true(next.list[0].kept && !next.list[1].kept);
    assert_int_equal(next.list[0].id, id);
    assert_int_equal(next.list[0].fds[0], kept);
    assert_int_equal(next.table_fds[2], table);
    bindings_rollback(&next);
    assert_true(fcntl(kept, F_GETFD) >= 0 && fcntl(table, F_GETFD) >= 0);

    int gone = now.list[0].fds[0];
    assert_true(bindings_renew(&next, &now, second));
    bindings_commit(&now, &next);
    assert_int_equal(now.count, 2);
    assert_int_equal(now.list[0].fds[0], kept);
    assert_true(fcntl(kept, F_GETFD) >= 0 && fcntl(table, F_GETFD) >= 0);
    assert_int_equal(fcntl(gone, F_GETFD), -1);
    bindings_close(&now, true);
    config_free(first);
    config_free(second);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/limpet-bindings-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_0_is_one_port_for_all_workers),
        cmocka_unit_test(an_address_in_use_is_refused),
        cmocka_unit_test(unix_sockets_have_their_mode_and_go_at_the_end),
        cmocka_unit_test(a_successors_socket_stays),
        cmocka_unit_test(session_tables_are_made_as_needed),
        cmocka_unit_test(another_configuration_shares_what_is_open),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
