// SPDX-License-Identifier: Apache-2.0
/* Owners that sids name themselves: sid.mode tag and prefix. */
#include "lb/sidname.h"
#include "lb/sticky.h"
#include "lb_backend.h"

#include "base/tag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1000000 };

/* A head with one field, or none, as a parser would leave it. */
struct message {
    struct head head;
    char base[512];
};

static struct message *message_with(enum header_id id, const char *value)
{
    static struct message message;
    memset(&message, 0, sizeof(message));
    if (!value)
        return &message;
    message.head.nfields = 1;
    message.head.first[id] = 1;
    message.head.fields[0] = (struct field){.id = (uint16_t)id};
    message.head.fields[0].value.len = (uint32_t)strlen(value);
    memcpy(message.base, value, strlen(value));
    return &message;
}

static struct eio_request session(const char *sid)
{
    struct eio_request eio = {.kind = EIO_SESSION, .protocol = 4};
    eio.sid_len = (uint16_t)strlen(sid);
    memcpy(eio.sid, sid, eio.sid_len);
    return eio;
}

static struct sticky_owner find(struct fixture *f, const char *sid, const char *cookie)
{
    struct eio_request eio = sid ? session(sid) : (struct eio_request){.kind = EIO_HANDSHAKE};
    struct message *message = message_with(HEADER_COOKIE, cookie);
    struct sticky_owner owner;
    sticky_find(f->backend, &eio, &message->head, message->base, SPAN("seven"), NOW, &owner);
    return owner;
}

/* "TAG~rest" of a server. */
static const char *tagged(struct fixture *f, int server, const char *rest)
{
    static char text[4][64];
    static unsigned turn;
    char *out = text[turn++ % 4];
    tag_write(tag_of_name(span_str(f->backend->servers[server]->name)), out);
    snprintf(out + TAG_LEN, 64 - TAG_LEN, "~%s", rest);
    return out;
}

static void open_mode(struct fixture *f, enum sid_mode mode)
{
    fixture_init(f, 3);
    f->config.opt.sid_mode = mode;
    fixture_open(f);
}

static void expect_owner(struct fixture *f, const char *sid, int server)
{
    struct sticky_owner owner = find(f, sid, NULL);
    assert_int_equal(owner.answer, STICKY_OWNER);
    assert_int_equal(owner.by, STICKY_SID);
    assert_ptr_equal(owner.server, f->backend->servers[server]);
    assert_false(owner.sid_missed);
    assert_int_equal(owner.sid_unproven, !owner.hold.held);
    sidmap_release(f->backend->sids, &owner.hold, NOW);
}

static void a_tag_leads_without_any_state(void **state)
{
    (void)state;
    struct fixture f;
    open_mode(&f, SID_TAG);
    for (int i = 0; i < 3; i++)
        expect_owner(&f, tagged(&f, i, "b7Lv8o"), i);
    struct sticky_owner owner = find(&f, tagged(&f, 1, "b7Lv8o"), NULL);
    assert_false(owner.hold.held);
    assert_int_equal(owner.lifetime_ms, SIDMAP_DEFAULT_LIFETIME_MS + SIDMAP_SLACK_MS);
    atomic_store(&f.backend->servers[1]->sid_lifetime_ms, 45000);
    assert_int_equal(find(&f, tagged(&f, 1, "b7Lv8o"), NULL).lifetime_ms, 50000);
    assert_int_equal(sidmap_used(f.backend->sids), 0);
    fixture_close(&f);
}

static void the_table_counts_and_remembers(void **state)
{
    (void)state;
    struct fixture f;
    open_mode(&f, SID_TAG);
    const char *sid = tagged(&f, 2, "b7Lv8o");
    // Entered for another server, by whatever mistake: what the sid says holds.
    sidmap_bind(f.backend->sids, span_str(sid), f.backend->servers[0]->sid_id, 10000, NOW);
    struct sticky_owner owner = find(&f, sid, NULL);
    assert_ptr_equal(owner.server, f.backend->servers[2]);
    assert_true(owner.hold.held);
    assert_int_equal(owner.lifetime_ms, 15000);
    sidmap_release(f.backend->sids, &owner.hold, NOW);
    // And a sid without a tag may still be known to it.
    sidmap_bind(f.backend->sids, SPAN("untagged"), f.backend->servers[0]->sid_id, 10000, NOW);
    expect_owner(&f, "untagged", 0);
    fixture_close(&f);
}

static void whose_server_is_gone(void **state)
{
    (void)state;
    struct fixture f;
    open_mode(&f, SID_TAG);
    struct sticky_owner owner = find(&f, "AAAAAA~b7Lv8o", NULL);
    assert_int_equal(owner.answer, STICKY_DEAD);
    assert_int_equal(owner.by, STICKY_SID);
    assert_null(owner.server);
    atomic_store(&f.backend->servers[0]->health, SERVER_DOWN);
    owner = find(&f, tagged(&f, 0, "b7Lv8o"), NULL);
    assert_int_equal(owner.answer, STICKY_DEAD);
    assert_ptr_equal(owner.server, f.backend->servers[0]);
    // Nobody's form at all: balanced, some server will say that it does not know it.
    owner = find(&f, "b7Lv8o_tjMAztqEQAAAA", NULL);
    assert_int_equal(owner.answer, STICKY_NOBODY);
    assert_true(owner.sid_missed);
    fixture_close(&f);
}

static void names_lead_the_longest_first(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 4);
    f.config.opt.sid_mode = SID_PREFIX;
    snprintf(f.names[3], sizeof(f.names[3]), "app1.eu"); // app0, app1, app2 are the others
    fixture_open(&f);
    expect_owner(&f, "app1.b7Lv8o", 1);
    expect_owner(&f, "app1~b7Lv8o", 1);
    expect_owner(&f, "app1.eu.b7Lv8o", 3);
    expect_owner(&f, "app1.eu~b7Lv8o", 3);
    expect_owner(&f, "app1.eux", 1);
    assert_int_equal(find(&f, "app9.b7Lv8o", NULL).answer, STICKY_DEAD);
    assert_int_equal(find(&f, "app11.b7Lv8o", NULL).answer, STICKY_DEAD);
    assert_true(find(&f, "app1", NULL).sid_missed);
    assert_true(find(&f, "app1.", NULL).sid_missed);
    assert_true(sidname_is_named(f.backend->servers[1], SPAN("app1.x")));
    assert_false(sidname_is_named(f.backend->servers[2], SPAN("app1.x")));
    fixture_close(&f);
}

static void without_sid_in_sticky_nothing_is_read(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2);
    f.config.opt.sid_mode = SID_TAG;
    f.sticky[0] = STICKY_COOKIE;
    f.config.opt.sticky_count = 1;
    fixture_open(&f);
    assert_false(sidname_tags(f.backend));
    assert_false(sidname_used(f.backend));
    assert_int_equal(find(&f, tagged(&f, 0, "b7Lv8o"), NULL).answer, STICKY_NOBODY);
    fixture_close(&f);
}

static void untag(struct fixture *f, const char *cookie, struct request_edit *edit)
{
    struct eio_request eio = session("x");
    struct message *message = message_with(HEADER_COOKIE, cookie);
    *edit = (struct request_edit){0};
    sticky_edit_request(f->backend, &edit->cookie);
    sticky_untag_request(f->backend, &eio, &message->head, message->base, edit);
}

static void cookies_carry_tags(void **state)
{
    (void)state;
    struct fixture f;
    open_mode(&f, SID_TAG);
    char cookie[80], text[512];
    snprintf(cookie, sizeof(cookie), "io=%s", tagged(&f, 2, "b7Lv8o"));
    struct sticky_owner owner = find(&f, NULL, cookie);
    assert_int_equal(owner.answer, STICKY_OWNER);
    assert_int_equal(owner.by, STICKY_COOKIE);
    assert_ptr_equal(owner.server, f.backend->servers[2]);
    assert_int_equal(find(&f, NULL, "io=AAAAAA~b7Lv8o").answer, STICKY_NOBODY);

    struct request_edit edit;
    untag(&f, cookie, &edit);
    assert_int_equal(edit.untag, EIO_SID_IN_QUERY);
    assert_int_equal(edit.cookie.change, COOKIE_STRIP_PREFIX);
    untag(&f, "io=b7Lv8o", &edit);
    assert_int_equal(edit.cookie.change, COOKIE_KEEP);
    untag(&f, NULL, &edit);
    assert_int_equal(edit.cookie.change, COOKIE_KEEP);

    struct response_edit response = {0};
    struct message *message = message_with(HEADER_SET_COOKIE, "io=b7Lv8o; Path=/");
    sticky_edit_response(f.backend, f.backend->servers[2], NULL, &message->head, message->base, NOW,
                         &response, text, sizeof(text));
    assert_int_equal(response.set_cookie.change, SET_COOKIE_PREFIX);
    assert_true(span_eq(response.set_cookie.server, span_of(tagged(&f, 2, ""), TAG_LEN)));
    assert_int_equal(sidmap_used(f.backend->cookies), 0);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_leads_without_any_state),
        cmocka_unit_test(the_table_counts_and_remembers),
        cmocka_unit_test(whose_server_is_gone),
        cmocka_unit_test(names_lead_the_longest_first),
        cmocka_unit_test(without_sid_in_sticky_nothing_is_read),
        cmocka_unit_test(cookies_carry_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
