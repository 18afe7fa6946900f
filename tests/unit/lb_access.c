// SPDX-License-Identifier: Apache-2.0
/* Access lines: HAProxy's shape to the byte, JSON, escapes, cuts, shortened sids, and the batch. */
#include "lb/access.h"

#include "lb/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define STAMP "Nov 21 19:46:08"
#define TIME  "21/Nov/2026:19:46:08"

static struct access_record sample_record(void)
{
    struct access_record record = {
        .frontend = "web",
        .backend = "sio",
        .server = "b",
        .request_line = SPAN("GET /socket.io/?EIO=4 HTTP/1.1"),
        .method = SPAN("GET"),
        .target = SPAN("/socket.io/?EIO=4"),
        .transport = "polling",
        .accepted_wall_ms = 1795290368769,
        .status = 200,
        .bytes = 119,
        .reason = END_DONE,
        .process_connections = 1,
        .frontend_connections = 1,
        .cookie_state = {'N', 'N'},
    };
    struct endpoint endpoint;
    endpoint_parse(SPAN("127.0.0.1:42284"), false, &endpoint);
    record.client = endpoint.addr;
    return record;
}

static void set_client(struct access_record *record, const char *text)
{
    struct endpoint endpoint;
    endpoint_parse(span_str(text), false, &endpoint);
    assert_int_equal(endpoint.kind, ENDPOINT_ADDR);
    record->client = endpoint.addr;
}

static const char *haproxy_line(const struct access_record *record)
{
    static char line[ACCESS_LINE_MAX + 1];
    size_t len = access_format_haproxy(record, STAMP, "host", 15106, TIME, line, ACCESS_LINE_MAX);
    assert_in_range(len, 1, ACCESS_LINE_MAX);
    line[len] = '\0';
    return line;
}

static const char *json_line(const struct access_record *record)
{
    static char line[ACCESS_LINE_MAX + 1];
    size_t len = access_format_json(record, "2026-11-21T19:46:08", line, ACCESS_LINE_MAX);
    assert_in_range(len, 1, ACCESS_LINE_MAX);
    line[len] = '\0';
    return line;
}

static void haproxy_shape(void **state)
{
    (void)state;
    struct access_record record = sample_record();
    assert_string_equal(haproxy_line(&record),
                        STAMP " host limpet[15106]: 127.0.0.1:42284 [" TIME ".769] web sio/b "
                              "0/0/0/0/0 200 119 - - --NN 1/1/0/0/0 0/0 "
                              "\"GET /socket.io/?EIO=4 HTTP/1.1\"\n");
}

static void haproxy_bad_request(void **state)
{
    (void)state;
    struct access_record record = sample_record();
    record.backend = record.server = NULL;
    record.request_line = SPAN("<BADREQ>");
    record.time_request = record.time_queue = record.time_connect = record.time_response = -1;
    record.status = 400;
    record.bytes = 0;
    record.reason = END_REQUEST_BAD;
    record.accepted_wall_ms = 1795290368005;
    memcpy(record.cookie_state, "--", 2);
    assert_string_equal(haproxy_line(&record),
                        STAMP " host limpet[15106]: 127.0.0.1:42284 [" TIME ".005] web web/<NOSRV> "
                              "-1/-1/-1/-1/0 400 0 - - PR-- 1/1/0/0/0 0/0 \"<BADREQ>\"\n");
}

static void haproxy_details(void **state)
{
    (void)state;
    struct access_record record = sample_record();
    record.server = NULL;
    record.status = 0;
    record.bytes = UINT64_MAX;
    record.retries = 2;
    record.redispatched = true;
    record.server_queue = 7;
    record.backend_queue = 11;
    record.time_total = 123456789012;
    record.reason = END_CLIENT_GONE_WAIT;
    set_client(&record, "[2001:db8::1]:443");
    assert_string_equal(haproxy_line(&record),
                        STAMP " host limpet[15106]: 2001:db8::1:443 [" TIME ".769] web sio/<NOSRV> "
                              "0/0/0/0/123456789012 -1 18446744073709551615 - - CHNN 1/1/0/0/+2 "
                              "7/11 \"GET /socket.io/?EIO=4 HTTP/1.1\"\n");
}

static void mapped_client_is_ipv4(void **state)
{
    (void)state;
    struct access_record record = sample_record();
    set_client(&record, "[::ffff:192.0.2.250]:65535");
    assert_non_null(strstr(haproxy_line(&record), " 192.0.2.250:65535 ["));
}

/* Bytes of the network can neither end the line nor the quotes. */
static void haproxy_escapes(void **state)
{
    (void)state;
    struct access_record record = sample_record();
    record.request_line = SPAN("GET /\"\n\\\x1b[2J\xff HTTP/1.1");
    const char *line = haproxy_line(&record);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_null(strchr(line, 0x1b));
    assert_null(strchr(line, (char)0xff));
    assert_ptr_equal(strchr(strchr(line, '"') + 1, '"'), line + strlen(line) - 2);
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    static char target[3 * ACCESS_LINE_MAX];
    memset(target, 'a', sizeof(target));
    struct access_record record = sample_record();
    record.request_line = record.target = span_of(target, sizeof(target));
    const char *line = haproxy_line(&record);
    assert_in_range(strlen(line), ACCESS_LINE_MAX - 8, ACCESS_LINE_MAX);
    assert_string_equal(line + strlen(line) - 3, "a\"\n");

    memset(target, '"', sizeof(target));
    line = json_line(&record);
    assert_in_range(strlen(line), ACCESS_LINE_MAX - 16, ACCESS_LINE_MAX);
    assert_string_equal(line + strlen(line) - 5, "\\\"\"}\n");
}

/* Every size: the end is always there, nothing is written behind it (the sanitizer looks). */
static void any_size(void **state)
{
    (void)state;
    struct access_record record = sample_record();
    for (size_t size = 0; size < 300; size++) {
        char *out = malloc(size + 1);
        size_t len = access_format_haproxy(&record, STAMP, "host", 1, TIME, out, size);
        assert_true(len <= size);
        assert_true(len == 0 || out[len - 1] == '\n');
        len = access_format_json(&record, "2026-11-21T19:46:08", out, size);
        assert_true(len <= size);
        assert_true(len == 0 || out[len - 1] == '\n');
        free(out);
    }
}

static void sids_are_shortened(void **state)
{
    (void)state;
    struct access_record record = sample_record();
    record.sid = SPAN("abcdefghijklmnopqrst");
    record.request_line = SPAN("GET /socket.io/?EIO=4&sid=abcdefghijklmnopqrst&t=1 HTTP/1.1");
    record.target = SPAN("/socket.io/?EIO=4&sid=abcdefghijklmnopqrst&t=1");
    const char *line = haproxy_line(&record);
    assert_non_null(strstr(line, "\"GET /socket.io/?EIO=4&sid=abcdef...&t=1 HTTP/1.1\"\n"));
    line = json_line(&record);
    assert_non_null(strstr(line, "\"sid\":\"abcdef...\""));
    assert_non_null(strstr(line, "\"target\":\"/socket.io/?EIO=4&sid=abcdef...&t=1\"}"));
    assert_null(strstr(line, "abcdefg"));
    record.sid = SPAN("abcdefghijk"); /* only its beginning is known */
    line = haproxy_line(&record);
    assert_non_null(strstr(line, "\"GET /socket.io/?EIO=4&sid=abcdef...&t=1 HTTP/1.1\"\n"));
}

static void json_shape(void **state)
{
    (void)state;
    struct access_record record = sample_record();
    record.server = NULL;
    record.transport = NULL;
    record.request_id = SPAN("r-1");
    record.target = SPAN("/\"\\\x01\xc3\xa4");
    record.time_connect = -1;
    assert_string_equal(
        json_line(&record),
        "{\"time\":\"2026-11-21T19:46:08.769Z\",\"client\":\"127.0.0.1\",\"client_port\":42284,"
        "\"frontend\":\"web\",\"backend\":\"sio\",\"server\":null,\"status\":200,\"bytes\":119,"
        "\"request_ms\":0,\"queue_ms\":0,\"connect_ms\":-1,\"response_ms\":0,\"total_ms\":0,"
        "\"reason\":\"done\",\"retries\":0,\"redispatched\":false,\"transport\":null,"
        "\"sid\":\"\",\"request_id\":\"r-1\",\"method\":\"GET\","
        "\"target\":\"/\\\"\\\\\\u0001\\u00c3\\u00a4\"}\n");
}

/* ---- the batch ---- */

struct house {
    struct serving serving;
    struct config config;
    struct worker worker;
    char path[64];
};

static int house_open(void **state)
{
    struct house *house = calloc(1, sizeof(*house));
    const char *error = NULL;
    snprintf(house->path, sizeof(house->path), "/tmp/limpet-access-XXXXXX");
    close(mkstemp(house->path));
    house->serving.config = &house->config;
    house->serving.access = log_sink_open(house->path, &error);
    house->worker.serving = &house->serving;
    *state = house;
    return !loop_init(&house->worker.loop, &house->worker) || house->serving.access == NULL ||
           !access_init(&house->worker.access, &house->worker);
}

static int house_close(void **state)
{
    struct house *house = *state;
    access_fini(&house->worker.access);
    log_sink_close(house->serving.access);
    loop_fini(&house->worker.loop);
    unlink(house->path);
    free(house);
    return 0;
}

static size_t lines_written(const struct house *house, char *last, size_t size)
{
    FILE *file = fopen(house->path, "r");
    size_t count = 0;
    while (fgets(last, (int)size, file) != NULL)
        count++;
    fclose(file);
    return count;
}

static void a_turn_writes_once(void **state)
{
    struct house *house = *state;
    struct access_record record = sample_record();
    char line[ACCESS_LINE_MAX] = "";
    access_write(&house->worker, &record);
    access_write(&house->worker, &record);
    assert_int_equal(lines_written(house, line, sizeof(line)), 0);
    loop_turn(&house->worker.loop, 0);
    assert_int_equal(lines_written(house, line, sizeof(line)), 2);
    loop_turn(&house->worker.loop, 0);
    assert_int_equal(lines_written(house, line, sizeof(line)), 2);
}

static void a_full_batch_goes_at_once(void **state)
{
    struct house *house = *state;
    struct access_record record = sample_record();
    char line[ACCESS_LINE_MAX] = "";
    for (int i = 0; i < 1000; i++)
        access_write(&house->worker, &record);
    assert_in_range(lines_written(house, line, sizeof(line)), 1, 999);
    loop_turn(&house->worker.loop, 0);
    assert_int_equal(lines_written(house, line, sizeof(line)), 1000);
}

static void nobody_interested(void **state)
{
    struct house *house = *state;
    struct access_record record = sample_record();
    char line[ACCESS_LINE_MAX] = "";
    house->worker.access.format = ACCESS_OFF;
    assert_false(access_on(&house->worker));
    access_write(&house->worker, &record);
    loop_turn(&house->worker.loop, 0);
    assert_int_equal(lines_written(house, line, sizeof(line)), 0);
}

/* The cached texts against the C library, over seconds, quarters, days and zones. */
static void times_are_right(void **state)
{
    struct house *house = *state;
    static const char *const zones[] = {"UTC", "Europe/Berlin", "Asia/Kathmandu",
                                        "America/St_Johns"};
    static const int64_t steps[] = {0, 1, 59, 60, 899, 900, 3599, 3600, 86399, 86400, 15552000};
    char line[ACCESS_LINE_MAX] = "", want[64];
    for (size_t z = 0; z < array_len(zones); z++) {
        setenv("TZ", zones[z], 1);
        tzset();
        access_fini(&house->worker.access);
        assert_true(access_init(&house->worker.access, &house->worker));
        for (size_t i = 0; i < array_len(steps); i++) {
            struct access_record record = sample_record();
            record.accepted_wall_ms += steps[i] * 1000;
            time_t second = (time_t)(record.accepted_wall_ms / 1000);
            struct tm tm;
            strftime(want, sizeof(want), "[%d/%b/%Y:%H:%M:%S.769]", localtime_r(&second, &tm));
            access_write(&house->worker, &record);
            loop_turn(&house->worker.loop, 0);
            lines_written(house, line, sizeof(line));
            assert_non_null(strstr(line, want));

            house->worker.access.format = ACCESS_JSON;
            strftime(want, sizeof(want), "\"%Y-%m-%dT%H:%M:%S.769Z\"", gmtime_r(&second, &tm));
            access_write(&house->worker, &record);
            loop_turn(&house->worker.loop, 0);
            lines_written(house, line, sizeof(line));
            assert_non_null(strstr(line, want));
            house->worker.access.format = ACCESS_HAPROXY;
        }
    }
    unsetenv("TZ");
    tzset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(haproxy_shape),
        cmocka_unit_test(haproxy_bad_request),
        cmocka_unit_test(haproxy_details),
        cmocka_unit_test(mapped_client_is_ipv4),
        cmocka_unit_test(haproxy_escapes),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(any_size),
        cmocka_unit_test(sids_are_shortened),
        cmocka_unit_test(json_shape),
        cmocka_unit_test_setup_teardown(a_turn_writes_once, house_open, house_close),
        cmocka_unit_test_setup_teardown(a_full_batch_goes_at_once, house_open, house_close),
        cmocka_unit_test_setup_teardown(nobody_interested, house_open, house_close),
        cmocka_unit_test_setup_teardown(times_are_right, house_open, house_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
