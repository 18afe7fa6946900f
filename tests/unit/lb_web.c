// SPDX-License-Identifier: Apache-2.0
/*
 * What admin.http's pages are made of: histograms, metrics of several workers, tables, JSON, HTML;
 * and docs/metrics.md, which is what the tables say (`LIMPET_UPDATE=1 unit_lb_web` writes it).
 */
#include "lb/events.h"
#include "lb/web_parts.h"
#include "tests/unit/stats_house.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int setup(void **state)
{
    *state = house_new();
    return 0;
}

static int teardown(void **state)
{
    struct house *house = *state;
    events_fini(&house->serving);
    house_free(house);
    return 0;
}

/* The text, ended by a NUL; the caller's. */
static char *finished(struct text *text)
{
    text_add(text, span_of("", 1));
    assert_false(text->failed);
    return text->data;
}

static char *metrics_of(struct house *house)
{
    struct text text = {0};
    web_metrics(&house->serving, &text);
    return finished(&text);
}

static void assert_line(const char *page, const char *line)
{
    size_t len = strlen(line);
    for (const char *at = strstr(page, line); at != NULL; at = strstr(at + 1, line)) {
        if ((at == page || at[-1] == '\n') && at[len] == '\n')
            return;
    }
    fail_msg("no line \"%s\"", line);
}

/* ---- histograms ---- */

static void values_find_their_bucket(void **state)
{
    struct house *house = *state;
    for (enum histogram id = 0; id < HISTOGRAMS; id++) {
        const struct histogram_info *info = &histogram_table[id];
        assert_true(info->bounds > 0 && info->bounds <= HISTOGRAM_BOUNDS_MAX);
        for (size_t i = 1; i < info->bounds; i++)
            assert_true(info->bounds_us[i] > info->bounds_us[i - 1]);
    }
    uint16_t stat_id = house->sio->stat_id;
    struct histogram_block *one = worker_stats(&house->workers[0], stat_id)->histograms;
    struct histogram_block *two = worker_stats(&house->workers[1], stat_id)->histograms;
    histogram_add(&one[HISTOGRAM_FIRST_BYTE], HISTOGRAM_FIRST_BYTE, 0);
    histogram_add(&one[HISTOGRAM_FIRST_BYTE], HISTOGRAM_FIRST_BYTE, 1000);
    histogram_add(&two[HISTOGRAM_FIRST_BYTE], HISTOGRAM_FIRST_BYTE, 1001);
    histogram_add(&two[HISTOGRAM_FIRST_BYTE], HISTOGRAM_FIRST_BYTE, INT64_C(31000000));
    histogram_add(&one[HISTOGRAM_TUNNEL], HISTOGRAM_TUNNEL, INT64_C(8) * 86400 * 1000000);
    char *page = metrics_of(house);
#define FIRST "limpet_backend_first_byte_duration_seconds"
    assert_line(page, FIRST "_bucket{backend=\"sio\",le=\"0.00025\"} 1");
    assert_line(page, FIRST "_bucket{backend=\"sio\",le=\"0.001\"} 2");
    assert_line(page, FIRST "_bucket{backend=\"sio\",le=\"0.0025\"} 3");
    assert_line(page, FIRST "_bucket{backend=\"sio\",le=\"30\"} 3");
    assert_line(page, FIRST "_bucket{backend=\"sio\",le=\"+Inf\"} 4");
    assert_line(page, FIRST "_sum{backend=\"sio\"} 31.002001");
    assert_line(page, FIRST "_count{backend=\"sio\"} 4");
    assert_line(page, FIRST "_count{backend=\"bare\"} 0");
    assert_line(page,
                "limpet_backend_tunnel_lifetime_seconds_bucket{backend=\"sio\",le=\"604800\"} 0");
    assert_line(page,
                "limpet_backend_tunnel_lifetime_seconds_bucket{backend=\"sio\",le=\"+Inf\"} 1");
    free(page);
}

/* ---- metrics ---- */

static void counters_of_all_workers_add_up(void **state)
{
    struct house *house = *state;
    house_count(house, 0, house->sio->stat_id, COUNTER_SIO_HANDSHAKES, 3);
    house_count(house, 1, house->sio->stat_id, COUNTER_SIO_HANDSHAKES, 4);
    house_count(house, 1, house->sio->stat_id, COUNTER_SIO_WEBSOCKETS, 2);
    house_count(house, 0, house->a->stat_id, COUNTER_RESPONSES_5XX, 9);
    house_count(house, 0, house->web->stat_id, COUNTER_BYTES_OUT, 123456789012);
    house_count(house, 0, house->sio->stat_id, COUNTER_TOTAL_US, 1500000);
    atomic_store(&house->b->health, SERVER_DOWN);
    house_health[1].good = 0;
    char *page = metrics_of(house);
    assert_line(page, "limpet_backend_handshakes_total{backend=\"sio\",transport=\"polling\"} 7");
    assert_line(page, "limpet_backend_handshakes_total{backend=\"sio\",transport=\"websocket\"} 2");
    assert_line(page, "limpet_server_responses_total{backend=\"sio\",server=\"a\",code=\"5xx\"} 9");
    assert_line(page, "limpet_frontend_sent_bytes_total{frontend=\"web\"} 123456789012");
    assert_line(page, "limpet_backend_exchange_duration_seconds_total{backend=\"sio\"} 1.500000");
    assert_line(page, "limpet_server_state{backend=\"sio\",server=\"b\",state=\"down\"} 1");
    assert_line(page, "limpet_server_state{backend=\"sio\",server=\"b\",state=\"up\"} 0");
    assert_line(page, "limpet_server_weight_configured{backend=\"sio\",server=\"b\"} 4");
    assert_line(page, "limpet_backend_servers_usable{backend=\"sio\"} 2");
    free(page);
}

/* Each family once, with help and type before its samples; names as Prometheus wants them. */
static void families_are_well_formed(void **state)
{
    char *page = metrics_of(*state);
    struct span rest = span_str(page);
    char family[128] = "", seen[64 * 1024] = "";
    bool total = false;
    while (rest.ptr != NULL) {
        struct span line = span_cut(&rest, '\n');
        if (span_starts(line, SPAN("# HELP "))) {
            struct span words = span_from(line, 7), name = span_cut(&words, ' ');
            char mark[130];
            span_to_str(name, family, sizeof(family));
            snprintf(mark, sizeof(mark), " %s ", family);
            assert_null(strstr(seen, mark));
            strncat(seen, mark, sizeof(seen) - strlen(seen) - 1);
            total = span_ends(name, SPAN("_total"));
            assert_true(span_starts(name, SPAN("limpet_")));
            assert_true(words.len > 5 && words.ptr[words.len - 1] == '.');
            for (size_t i = 0; i < name.len; i++)
                assert_true((name.ptr[i] >= 'a' && name.ptr[i] <= 'z') || name.ptr[i] == '_');
        } else if (span_starts(line, SPAN("# TYPE "))) {
            assert_int_equal(span_ends(line, SPAN(" counter")), total);
        } else if (line.len > 0) {
            assert_true(span_starts(line, span_str(family)));
        }
    }
    free(page);
}

static void labels_are_escaped(void **state)
{
    (void)state;
    struct text text = {0};
    web_add_label(&text, SPAN("a\"b\\c\nd"));
    assert_string_equal(finished(&text), "a\\\"b\\\\c\\nd");
    text_free(&text);
}

static void the_exporter_has_haproxys_values(void **state)
{
    struct house *house = *state;
    struct text text = {0};
    atomic_store(&house->a->admin, SERVER_DRAIN);
    house_count(house, 1, house->a->stat_id, COUNTER_RESPONSES_2XX, 5);
    web_haproxy(&house->serving, &text);
    char *page = finished(&text);
    assert_line(page, "haproxy_server_status{proxy=\"sio\",server=\"a\",state=\"DRAIN\"} 1");
    assert_line(page, "haproxy_server_status{proxy=\"sio\",server=\"a\",state=\"UP\"} 0");
    assert_line(page,
                "haproxy_server_http_responses_total{proxy=\"sio\",server=\"a\",code=\"2xx\"} 5");
    assert_line(page, "haproxy_server_check_status{proxy=\"sio\",server=\"a\",state=\"L4OK\"} 1");
    assert_line(page, "haproxy_server_check_duration_seconds{proxy=\"sio\",server=\"a\"} 0.001");
    assert_line(page, "haproxy_backend_agg_server_status{proxy=\"sio\",state=\"DRAIN\"} 1");
    assert_line(page, "haproxy_backend_agg_server_status{proxy=\"sio\",state=\"UP\"} 2");
    assert_line(page, "haproxy_frontend_limit_sessions{proxy=\"web\"} 2000");
    assert_line(page, "haproxy_process_nbthread 2");
    assert_null(strstr(page, "failed_resolutions"));
    free(page);
}

/* ---- tables and JSON ---- */

static void the_csv_is_read_back(void **state)
{
    struct house *house = *state;
    struct web_table table;
    assert_true(web_table_read(&house->serving, true, &table));
    size_t svname = web_table_column(&table, SPAN("svname"));
    size_t status = web_table_column(&table, SPAN("status"));
    assert_int_equal(web_table_column(&table, SPAN("nothing")), SIZE_MAX);
    assert_int_equal(table.rows, 8);
    assert_true(span_eq(web_table_cell(&table, 2, svname), SPAN("a")));
    assert_true(span_eq(web_table_cell(&table, 2, status), SPAN("UP")));
    assert_int_equal(web_table_cell(&table, 99, svname).len, 0);
    assert_int_equal(web_table_cell(&table, 0, SIZE_MAX).len, 0);
    web_table_free(&table);
}

static void events_become_json_and_html(void **state)
{
    struct house *house = *state;
    events_add(&house->serving, EVENT_HEALTH, "a \"quoted\" <b>&\\");
    events_add(&house->serving, EVENT_STATE, "second");
    struct text text = {0};
    web_json_events(&house->serving, 0, &text);
    char *json = finished(&text);
    assert_non_null(strstr(json, "\"text\":\"a \\\"quoted\\\" <b>&\\\\\""));
    assert_non_null(strstr(json, "\"kind\":\"state\""));
    free(json);
    text = (struct text){0};
    web_json_events(&house->serving, 1, &text);
    json = finished(&text);
    assert_null(strstr(json, "quoted"));
    assert_non_null(strstr(json, "\"last\":2"));
    free(json);

    struct web_view view = {.serving = &house->serving};
    text = (struct text){0};
    web_section(&view, WEB_TIMELINE, &text);
    char *html = finished(&text);
    assert_non_null(strstr(html, "a &quot;quoted&quot; &lt;b&gt;&amp;\\"));
    assert_null(strchr(html, '\n'));
    assert_true(strstr(html, "second") < strstr(html, "quoted")); // The newest first.
    free(html);
}

static void numbers_and_times_are_readable(void **state)
{
    (void)state;
    struct text text = {0};
    const int64_t numbers[] = {0, 999, 1000, -1234567, 12345678901};
    for (size_t i = 0; i < array_len(numbers); i++) {
        web_add_number(&text, numbers[i]);
        text_add(&text, SPAN(" "));
    }
    const int64_t times[] = {-5, 59, 61, 3600, 90061};
    for (size_t i = 0; i < array_len(times); i++) {
        web_add_duration(&text, times[i]);
        text_add(&text, SPAN("|"));
    }
    assert_string_equal(finished(&text), "0 999 1,000 -1,234,567 12,345,678,901 "
                                         "0 s|59 s|1 m 1 s|1 h 0 m|1 d 1 h|");
    text_free(&text);
}

static void curves_have_one_point_per_second(void **state)
{
    struct house *house = *state;
    struct web_history history = {0};
    for (int i = 0; i < 3 * WEB_HISTORY; i++) {
        house_count(house, 0, house->sio->stat_id, COUNTER_SIO_WEBSOCKET_NOW, 1);
        web_history_take(&house->serving, &history);
    }
    assert_int_equal(history.count, WEB_HISTORY);
    struct web_view view = {.serving = &house->serving, .history = &history};
    struct text text = {0};
    web_section(&view, WEB_OVERVIEW, &text);
    char *html = finished(&text);
    assert_non_null(strstr(html, "360 WebSocket, 0 polling"));
    assert_null(strstr(html, "style="));
    free(html);
}

/* The whole dashboard, as it lies in the program. */
static void the_dashboard_is_small(void **state)
{
    (void)state;
    size_t bytes = web_index_html.len + web_style_css.len + web_app_js.len + web_icon_svg.len;
    assert_true(bytes > 10000 && bytes < 60 * 1024);
    assert_true(span_find(web_index_html, SPAN("style=")) == SIZE_MAX);
    assert_true(span_find(web_index_html, SPAN("onclick")) == SIZE_MAX);
}

/* ---- docs/metrics.md ---- */

static const char intro[] =
    "# Metrics\n\n"
    "What `/metrics` on `admin.http` says, for Prometheus. Made from the tables in `lb/web_metrics.c`, `lb/counters.def` and\n"
    "`lb/histogram.c`; a test keeps it so. Times are in seconds, sizes in bytes; counters count from the start of the process,\n"
    "or from `clear counters`. Labels are names from the configuration and fixed words, never a session id or an address.\n\n"
    "`/metrics/haproxy` has the names and labels of HAProxy's built-in exporter, for dashboards and integrations that know\n"
    "those. `packaging/grafana/limpet.json` and `packaging/prometheus/limpet.rules.yml` are made for the ones below.\n";

/* Names of the labels of a sample, behind one another. */
static void add_label_names(struct span sample, struct text *out)
{
    struct span labels = span_from(sample, span_index(sample, '{'));
    labels = span_upto(span_from(labels, 1), span_index(labels, '}') - 1);
    const char *comma = "";
    while (labels.len > 0) {
        struct span name = span_cut(&labels, '=');
        span_cut(&labels, '"');
        span_cut(&labels, '"');
        if (labels.len > 0)
            labels = span_from(labels, 1);
        if (span_eq(name, SPAN("le")))
            continue;
        text_addf(out, "%s`%.*s`", comma, SPAN_ARG(name));
        comma = ", ";
    }
}

static const char *heading(struct span name)
{
    if (span_starts(name, SPAN("limpet_frontend_")))
        return "Frontends";
    if (span_starts(name, SPAN("limpet_backend_")))
        return "Backends";
    return span_starts(name, SPAN("limpet_server_")) ? "Servers" : "The process";
}

/* One section: families of that heading, a line each. */
static void add_section(const char *page, const char *title, struct text *out)
{
    struct span rest = span_str(page);
    text_addf(out, "\n## %s\n\n| metric | type | labels | what |\n|---|---|---|---|\n", title);
    while (rest.ptr != NULL) {
        struct span line = span_cut(&rest, '\n');
        if (!span_starts(line, SPAN("# HELP ")))
            continue;
        struct span help = span_from(line, 7), name = span_cut(&help, ' ');
        struct span type = span_cut(&rest, '\n'), next = rest, sample = span_cut(&next, '\n');
        type = span_from(type, 7 + name.len + 1);
        if (strcmp(heading(name), title) != 0)
            continue;
        text_addf(out, "| `%.*s` | %.*s | ", SPAN_ARG(name), SPAN_ARG(type));
        add_label_names(sample, out);
        text_addf(out, " | %.*s |\n", SPAN_ARG(help));
    }
}

static void the_reference_is_current(void **state)
{
    static const char *const titles[] = {"The process", "Frontends", "Backends", "Servers"};
    struct text text = {0};
    char *page = metrics_of(*state), *kept = calloc(1, 1 << 20);
    text_add(&text, span_str(intro));
    for (size_t i = 0; i < array_len(titles); i++)
        add_section(page, titles[i], &text);
    char *now = finished(&text);
    const char *update = getenv("LIMPET_UPDATE");
    FILE *file = fopen("docs/metrics.md", update != NULL ? "w+" : "r");
    assert_non_null(file);
    if (update != NULL)
        fwrite(now, 1, strlen(now), file);
    rewind(file);
    size_t got = fread(kept, 1, (1 << 20) - 1, file);
    fclose(file);
    assert_int_equal(got, strlen(now));
    assert_string_equal(kept, now);
    free(page);
    free(now);
    free(kept);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(values_find_their_bucket),         TEST(counters_of_all_workers_add_up),
        TEST(families_are_well_formed),         TEST(labels_are_escaped),
        TEST(the_exporter_has_haproxys_values), TEST(the_csv_is_read_back),
        TEST(events_become_json_and_html),      TEST(numbers_and_times_are_readable),
        TEST(curves_have_one_point_per_second), TEST(the_dashboard_is_small),
        TEST(the_reference_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
