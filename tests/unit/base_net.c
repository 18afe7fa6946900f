// SPDX-License-Identifier: Apache-2.0
/* Address texts both ways, networks, listeners, and the resolver. Everything stays on loopback. */
#include "base/net.h"

#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct endpoint parse(const char *text, bool listening)
{
    struct endpoint endpoint;
    endpoint_parse(span_str(text), listening, &endpoint);
    return endpoint;
}

static void check_address(const char *text, const char *shown, const char *host)
{
    char out[ADDR_TEXT_MAX];
    struct endpoint endpoint = parse(text, true);
    assert_int_equal(endpoint.kind, ENDPOINT_ADDR);
    assert_string_equal(addr_format(&endpoint.addr, out), shown);
    assert_string_equal(addr_format_host(&endpoint.addr, out), host);
}

static void addresses_are_read_and_shown(void **state)
{
    (void)state;
    check_address("127.0.0.1:80", "127.0.0.1:80", "127.0.0.1");
    check_address("[::1]:65535", "[::1]:65535", "::1");
    check_address("[2001:DB8::0:1]:1", "[2001:db8::1]:1", "2001:db8::1");
    check_address("[::ffff:10.1.2.3]:80", "10.1.2.3:80", "10.1.2.3");
    check_address("[fe80::1%1]:80", "[fe80::1%1]:80", "fe80::1%1");
    check_address(":8080", "[::]:8080", "::");
    check_address("*:8080", "[::]:8080", "::");
    check_address("0.0.0.0:0", "0.0.0.0:0", "0.0.0.0");
    check_address("unix:/run/x.sock", "unix:/run/x.sock", "unix");
    check_address("/run/x.sock", "unix:/run/x.sock", "unix");
}

static void the_longest_path_fits(void **state)
{
    (void)state;
    char path[109], out[ADDR_TEXT_MAX];
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[107] = '\0';
    struct endpoint endpoint = parse(path, true);
    assert_int_equal(endpoint.kind, ENDPOINT_ADDR);
    assert_string_equal(addr_format(&endpoint.addr, out) + 5, path);
    path[107] = 'x';
    path[108] = '\0';
    assert_int_equal(parse(path, true).kind, ENDPOINT_BAD);
}

static void names_wait_for_the_resolver(void **state)
{
    (void)state;
    struct endpoint endpoint = parse("app-1.example_x:3001", false);
    assert_int_equal(endpoint.kind, ENDPOINT_NAME);
    assert_string_equal(endpoint.host, "app-1.example_x");
    assert_int_equal(endpoint.port, 3001);
}

static void check_bad(const char *text, bool listening, const char *phrase)
{
    struct endpoint endpoint = parse(text, listening);
    assert_int_equal(endpoint.kind, ENDPOINT_BAD);
    assert_non_null(strstr(endpoint.error, phrase));
}

static void mistakes_are_named(void **state)
{
    (void)state;
    check_bad("", true, "port is missing");
    check_bad("127.0.0.1", true, "port is missing");
    check_bad("127.0.0.1:", true, "port is missing");
    check_bad("[::1]", true, "port is missing");
    check_bad("[::1]80", true, "port is missing");
    check_bad("[::1:80", true, "bracket");
    check_bad("[1.2.3.4]:80", true, "not an IPv6");
    check_bad("[::1%nosuchif]:80", true, "not an IPv6");
    check_bad("::1:80", true, "brackets");
    check_bad("127.0.0.1:65536", true, "1 to 65535");
    check_bad("127.0.0.1:-1", true, "1 to 65535");
    check_bad("127.0.0.1:0", false, "1 to 65535");
    check_bad(":80", false, "host is missing");
    check_bad("256.1.1.1:80", true, "not an IPv4");
    check_bad("1.2.3:80", true, "not an IPv4");
    check_bad("a b:80", true, "character");
    check_bad("http://x:80", true, "");
    check_bad("unix:", true, "path is missing");
}

static void addresses_compare(void **state)
{
    (void)state;
    struct addr a = parse("10.0.0.1:80", true).addr, b = parse("[::ffff:10.0.0.1]:80", true).addr;
    struct addr c = parse("[::1]:80", true).addr, d = parse("/run/a", true).addr;
    struct addr none = {0};
    assert_true(addr_eq(&a, &b));
    assert_true(addr_eq(&d, &d));
    assert_false(addr_eq(&a, &c));
    assert_false(addr_eq(&c, &d));
    assert_false(addr_eq(&a, &none));
    assert_true(addr_eq(&none, &none));
    addr_set_port(&b, 81);
    assert_int_equal(addr_port(&b), 81);
    assert_false(addr_eq(&a, &b));
    assert_int_equal(addr_ip_bytes(&b).len, 4);
    assert_int_equal(addr_ip_bytes(&c).len, 16);
    assert_int_equal(addr_ip_bytes(&d).len, 0);
    assert_int_equal(addr_port(&d), 0);
}

static bool matches(const char *network, const char *text)
{
    struct netmask mask;
    assert_true(netmask_parse(span_str(network), &mask));
    struct addr addr = parse(text, true).addr;
    return netmask_matches(&mask, &addr);
}

static void networks_match(void **state)
{
    (void)state;
    assert_true(matches("10.0.0.0/8", "10.255.0.1:1"));
    assert_false(matches("10.0.0.0/8", "11.0.0.1:1"));
    assert_true(matches("10.0.0.0/8", "[::ffff:10.1.1.1]:1"));
    assert_true(matches("::ffff:10.0.0.0/104", "10.1.1.1:1"));
    assert_true(matches("192.168.1.128/25", "192.168.1.200:1"));
    assert_false(matches("192.168.1.128/25", "192.168.1.127:1"));
    assert_true(matches("127.0.0.1", "127.0.0.1:1"));
    assert_false(matches("127.0.0.1", "127.0.0.2:1"));
    assert_true(matches("0.0.0.0/0", "1.2.3.4:1"));
    assert_false(matches("0.0.0.0/0", "[::1]:1"));
    assert_true(matches("2001:db8::/33", "[2001:db8:7fff::1]:1"));
    assert_false(matches("2001:db8::/33", "[2001:db8:8000::1]:1"));
    assert_true(matches("::/0", "[::1]:1"));
    assert_false(matches("::/0", "/run/x"));
    struct netmask mask;
    assert_false(netmask_parse(SPAN("10.0.0.0/33"), &mask));
    assert_false(netmask_parse(SPAN("10.0.0.0/"), &mask));
    assert_false(netmask_parse(SPAN("::/129"), &mask));
    assert_false(netmask_parse(SPAN("10.0.0"), &mask));
    assert_false(netmask_parse(SPAN(""), &mask));
}

static void listens_and_connects(void **state)
{
    (void)state;
    struct addr any = parse(":0", true).addr, bound, peer;
    int listener = net_listen(&any, 10, true);
    assert_true(listener >= 0);
    assert_true(net_local_addr(listener, &bound));
    struct addr same = any;
    addr_set_port(&same, addr_port(&bound));
    int second = net_listen(&same, 10, true);
    assert_true(second >= 0);
    close(second);
    assert_int_equal(net_listen(&same, 10, false), -1);
    assert_int_equal(errno, EADDRINUSE);

    struct addr v4 = parse("127.0.0.1:1", false).addr; // dual-stack: IPv4 gets in
    addr_set_port(&v4, addr_port(&bound));
    int client = net_connect(&v4);
    assert_true(client >= 0);
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 2000), 1);
    int accepted = accept(listener, NULL, NULL);
    assert_true(accepted >= 0);
    assert_true(net_peer_addr(accepted, &peer));
    char out[ADDR_TEXT_MAX];
    assert_string_equal(addr_format_host(&peer, out), "127.0.0.1");
    close(accepted);
    close(client);
    close(listener);
}

static void a_stale_socket_path_is_taken_over(void **state)
{
    (void)state;
    char directory[] = "/tmp/limpet-net-XXXXXX", path[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/s", directory);
    struct addr addr = parse(path, true).addr;
    int first = net_listen(&addr, 10, false);
    assert_true(first >= 0);
    assert_int_equal(net_listen(&addr, 10, false), -1); // somebody accepts there
    assert_int_equal(errno, EADDRINUSE);
    int client = net_connect(&addr);
    assert_true(client >= 0);
    close(client);
    close(first);
    int second = net_listen(&addr, 10, false);
    assert_true(second >= 0);
    close(second);
    unlink(path);
    FILE *file = fopen(path, "w"); // not a socket: not ours to remove
    fclose(file);
    assert_int_equal(net_listen(&addr, 10, false), -1);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    unlink(path);
    rmdir(directory);
}

static int answers;

static void on_answer(struct letter *letter, void *receiver)
{
    (void)letter;
    (void)receiver;
    answers++;
}

static void resolves_on_its_thread(void **state)
{
    (void)state;
    struct mailbox box;
    assert_true(mailbox_init(&box, NULL));
    struct resolver *resolver = resolver_new();
    assert_non_null(resolver);
    struct resolve good = {.letter.deliver = on_answer, .reply_to = &box, .port = 80};
    struct resolve bad = good;
    strcpy(good.host, "localhost");
    strcpy(bad.host, "256.256.256.256");
    answers = 0;
    resolver_ask(resolver, &good);
    resolver_ask(resolver, &bad);
    struct pollfd ready = {.fd = box.fd, .events = POLLIN};
    while (answers < 2) {
        assert_int_equal(poll(&ready, 1, 20000), 1);
        mailbox_deliver(&box);
    }
    assert_true(good.ok);
    assert_int_equal(addr_port(&good.addr), 80);
    assert_false(bad.ok);
    assert_true(bad.error[0] != '\0');
    resolver_free(resolver);
    mailbox_fini(&box);
}

static void what_is_unanswered_fails_when_it_stops(void **state)
{
    (void)state;
    enum { ASKED = 50 };
    static struct resolve asked[ASKED];
    struct mailbox box;
    assert_true(mailbox_init(&box, NULL));
    struct resolver *resolver = resolver_new();
    answers = 0;
    for (int i = 0; i < ASKED; i++) {
        asked[i] = (struct resolve){.letter.deliver = on_answer, .reply_to = &box};
        strcpy(asked[i].host, "127.0.0.1");
        resolver_ask(resolver, &asked[i]);
    }
    resolver_free(resolver);
    mailbox_fini(&box);
    assert_int_equal(answers, ASKED);
    for (int i = 0; i < ASKED; i++)
        assert_true(asked[i].ok || strstr(asked[i].error, "stopped"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_shown),
        cmocka_unit_test(the_longest_path_fits),
        cmocka_unit_test(names_wait_for_the_resolver),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(addresses_compare),
        cmocka_unit_test(networks_match),
        cmocka_unit_test(listens_and_connects),
        cmocka_unit_test(a_stale_socket_path_is_taken_over),
        cmocka_unit_test(resolves_on_its_thread),
        cmocka_unit_test(what_is_unanswered_fails_when_it_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
