// SPDX-License-Identifier: Apache-2.0
/* Who owns a request, and what answers teach. */
#include "lb/sticky.h"
#include "lb_backend.h"

#include "lb/balance.h"

#include "base/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1000000, HOUR = 3600000 };

/* A head with up to a few fields of one kind, as a parser would leave it. */
struct message {
    struct head head;
    char base[2048];
    size_t len;
};

static void add_field(struct message *message, enum header_id id, const char *name,
                      const char *value)
{
    struct head *head = &message->head;
    struct field *field = &head->fields[head->nfields++];
    *field = (struct field){.id = (uint16_t)id};
    field->name = (struct slice){(uint32_t)message->len, (uint32_t)strlen(name)};
    memcpy(message->base + message->len, name, strlen(name));
    message->len += strlen(name);
    field->value = (struct slice){(uint32_t)message->len, (uint32_t)strlen(value)};
    memcpy(message->base + message->len, value, strlen(value));
    message->len += strlen(value);
    if (!head->first[id])
        head->first[id] = head->nfields;
}

static struct message *request_with_cookie(const char *cookie)
{
    static struct message message;
    memset(&message, 0, sizeof(message));
    add_field(&message, HEADER_HOST, "Host", "chat.example");
    if (cookie)
        add_field(&message, HEADER_COOKIE, "Cookie", cookie);
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
    struct message *message = request_with_cookie(cookie);
    struct sticky_owner owner;
    sticky_find(f->backend, &eio, &message->head, message->base, SPAN("client"), NOW, &owner);
    return owner;
}

static void bind_sid(struct fixture *f, const char *sid, int server)
{
    sidmap_bind(f->backend->sids, span_str(sid), f->backend->servers[server]->sid_id, 45000, NOW);
}

static void down(struct fixture *f, int server)
{
    atomic_store(&f->backend->servers[server]->health, SERVER_DOWN);
}

static void a_sid_leads_to_its_server(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3);
    fixture_open(&f);
    bind_sid(&f, "abc", 1);
    struct sticky_owner owner = find(&f, "abc", NULL);
    assert_int_equal(owner.answer, STICKY_OWNER);
    assert_int_equal(owner.by, STICKY_SID);
    assert_ptr_equal(owner.server, f.backend->servers[1]);
    assert_int_equal(owner.lifetime_ms, 45000 + SIDMAP_SLACK_MS);
    assert_true(owner.hold.held);
    assert_false(owner.sid_missed);
    assert_false(owner.sid_unproven);
    assert_false(owner.kick);
    sidmap_mark_kick(f.backend->sids, SPAN("abc"));
    sidmap_release(f.backend->sids, &owner.hold, NOW);
    owner = find(&f, "abc", NULL);
    assert_true(owner.kick);
    sidmap_release(f.backend->sids, &owner.hold, NOW);
    fixture_close(&f);
}

static void draining_and_full_owners_keep_it(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2);
    f.servers[1].opt.max_connections = 1;
    fixture_open(&f);
    bind_sid(&f, "abc", 1);
    server_take(f.backend->servers[1]);
    atomic_store(&f.backend->servers[1]->admin, SERVER_DRAIN);
    struct sticky_owner owner = find(&f, "abc", NULL);
    assert_int_equal(owner.answer, STICKY_OWNER);
    assert_ptr_equal(owner.server, f.backend->servers[1]);
    sidmap_release(f.backend->sids, &owner.hold, NOW);
    fixture_close(&f);
}

static void dead_owners_are_an_answer(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3);
    fixture_open(&f);
    bind_sid(&f, "abc", 1);
    down(&f, 1);
    struct sticky_owner owner = find(&f, "abc", "io=abc");
    assert_int_equal(owner.answer, STICKY_DEAD);
    assert_int_equal(owner.by, STICKY_SID);
    assert_ptr_equal(owner.server, f.backend->servers[1]);
    assert_false(owner.hold.held);
    atomic_store(&f.backend->servers[1]->health, SERVER_UP);
    atomic_store(&f.backend->servers[1]->admin, SERVER_MAINT);
    assert_int_equal(find(&f, "abc", NULL).answer, STICKY_DEAD);

    // of a server that the configuration no longer has
    int gone = sidmap_server_id(f.backend->sids, SPAN("gone"));
    sidmap_bind(f.backend->sids, SPAN("old"), gone, 45000, NOW);
    owner = find(&f, "old", NULL);
    assert_int_equal(owner.answer, STICKY_DEAD);
    assert_null(owner.server);
    fixture_close(&f);
}

static void unknown_sids_are_missed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3);
    fixture_open(&f);
    struct sticky_owner owner = find(&f, "nobody", NULL);
    assert_int_equal(owner.answer, STICKY_NOBODY);
    assert_true(owner.sid_missed);
    assert_true(owner.sid_unproven);
    assert_false(owner.hold.held);
    assert_int_equal(sidmap_used(f.backend->sids), 0);

    struct eio_request eio = {.kind = EIO_SESSION, .sid_too_long = true};
    struct message *message = request_with_cookie(NULL);
    sticky_find(f.backend, &eio, &message->head, message->base, SPAN("one"), NOW, &owner);
    assert_true(owner.sid_missed);
    assert_int_equal(owner.answer, STICKY_NOBODY);

    // its cookie may still know
    bind_sid(&f, "tab", 2);
    owner = find(&f, "nobody", "io=tab");
    assert_true(owner.sid_missed);
    assert_int_equal(owner.by, STICKY_COOKIE);
    assert_ptr_equal(owner.server, f.backend->servers[2]);

    assert_false(find(&f, NULL, NULL).sid_missed); // a handshake has none
    fixture_close(&f);
}

static void a_sid_beats_every_cookie(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3);
    f.sticky[0] = STICKY_COOKIE; // wherever it stands
    f.sticky[1] = STICKY_SID;
    fixture_open(&f);
    bind_sid(&f, "mine", 1);
    bind_sid(&f, "other-tab", 2);
    struct sticky_owner owner = find(&f, "mine", "io=other-tab");
    assert_int_equal(owner.by, STICKY_SID);
    assert_ptr_equal(owner.server, f.backend->servers[1]);
    sidmap_release(f.backend->sids, &owner.hold, NOW);
    owner = find(&f, NULL, "io=other-tab");
    assert_int_equal(owner.by, STICKY_COOKIE);
    assert_ptr_equal(owner.server, f.backend->servers[2]);
    assert_false(owner.hold.held);
    fixture_close(&f);
}

static void cookies_by_name(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3);
    f.config.opt.cookie_name = (char *)"SRV";
    f.config.opt.cookie_mode = COOKIE_INSERT;
    fixture_open(&f);
    assert_ptr_equal(find(&f, NULL, "a=b; SRV=app2; c=d").server, f.backend->servers[2]);
    assert_int_equal(find(&f, NULL, "srv=app2").answer, STICKY_NOBODY);
    assert_int_equal(find(&f, NULL, "SRV=app7").answer, STICKY_NOBODY);
    assert_int_equal(find(&f, NULL, "SRV=").answer, STICKY_NOBODY);
    down(&f, 2);
    assert_int_equal(find(&f, NULL, "SRV=app2").answer, STICKY_NOBODY); // bound anew
    f.config.opt.cookie_mode = COOKIE_REWRITE;
    assert_ptr_equal(find(&f, NULL, "SRV=app1").server, f.backend->servers[1]);
    f.config.opt.cookie_mode = COOKIE_PREFIX;
    assert_ptr_equal(find(&f, NULL, "SRV=app1~xyz").server, f.backend->servers[1]);
    assert_int_equal(find(&f, NULL, "SRV=app1").answer, STICKY_NOBODY);
    assert_int_equal(find(&f, NULL, "SRV=app9~xyz").answer, STICKY_NOBODY);
    // in the second of two fields
    struct message *message = request_with_cookie("x=y");
    add_field(message, HEADER_ORIGIN, "Origin", "SRV=app0~");
    add_field(message, HEADER_COOKIE, "Cookie", "SRV=app1~z");
    assert_ptr_equal(sticky_cookie_server(f.backend, &message->head, message->base, NOW),
                     f.backend->servers[1]);
    fixture_close(&f);
}

static void old_servers_cookie_is_the_sid(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2);
    fixture_open(&f);
    bind_sid(&f, "a/b c", 1);
    assert_ptr_equal(find(&f, NULL, "io=a%2Fb%20c").server, f.backend->servers[1]);
    assert_int_equal(find(&f, NULL, "io=a%2Fb").answer, STICKY_NOBODY);
    fixture_close(&f);
}

static void source_is_the_last_resort(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 3);
    f.sticky[2] = STICKY_SOURCE;
    f.config.opt.sticky_count = 3;
    fixture_open(&f);
    struct server *expected = balance_rendezvous(f.backend, hash_stable(SPAN("client")), NULL);
    struct sticky_owner owner = find(&f, NULL, NULL);
    assert_int_equal(owner.answer, STICKY_OWNER);
    assert_int_equal(owner.by, STICKY_SOURCE);
    assert_ptr_equal(owner.server, expected);
    bind_sid(&f, "x", (expected->index + 1) % 3);
    assert_int_equal(find(&f, NULL, "io=x").by, STICKY_COOKIE);
    atomic_store(&expected->admin, SERVER_DRAIN);
    owner = find(&f, NULL, NULL);
    assert_true(owner.server && owner.server != expected);
    for (int i = 0; i < 3; i++)
        down(&f, i);
    assert_int_equal(find(&f, NULL, NULL).answer, STICKY_NOBODY);
    fixture_close(&f);
}

static void what_is_not_listed_is_not_asked(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, 2);
    f.sticky[0] = STICKY_SOURCE;
    f.config.opt.sticky_count = 1;
    fixture_open(&f);
    bind_sid(&f, "abc", 1);
    struct sticky_owner owner = find(&f, "abc", "io=abc");
    assert_int_equal(owner.by, STICKY_SOURCE);
    assert_false(owner.sid_missed);
    assert_false(owner.hold.held);
    struct cookie_edit edit;
    f.config.opt.cookie_mode = COOKIE_INSERT;
    sticky_edit_request(f.backend, &edit);
    assert_int_equal(edit.change, COOKIE_KEEP);
    fixture_close(&f);
}

static void requests_are_edited(void **state)
{
    (void)state;
    struct fixture f;
    struct cookie_edit edit;
    static const enum cookie_change expected[] = {
        [COOKIE_LEARN] = COOKIE_KEEP,
        [COOKIE_INSERT] = COOKIE_REMOVE,
        [COOKIE_PREFIX] = COOKIE_STRIP_PREFIX,
        [COOKIE_REWRITE] = COOKIE_KEEP,
    };
    fixture_init(&f, 1);
    fixture_open(&f);
    for (int mode = COOKIE_LEARN; mode <= COOKIE_REWRITE; mode++) {
        f.config.opt.cookie_mode = (enum cookie_mode)mode;
        sticky_edit_request(f.backend, &edit);
        assert_int_equal(edit.change, expected[mode]);
        assert_true(span_eq(edit.name, SPAN("io")));
    }
    fixture_close(&f);
}

/* The response of `server` to a client whose cookie named `had`. */
static struct response_edit respond(struct fixture *f, int server, struct server *had,
                                    struct message *message, char text[static 512])
{
    struct response_edit edit = {.to_minor = 1};
    sticky_edit_response(f->backend, f->backend->servers[server], had, &message->head,
                         message->base, NOW, &edit, text, 512);
    return edit;
}

static void inserts_when_needed(void **state)
{
    (void)state;
    struct fixture f;
    char text[512];
    fixture_init(&f, 3);
    f.config.opt.cookie_mode = COOKIE_INSERT;
    f.config.opt.cookie_name = (char *)"SRV";
    fixture_open(&f);
    struct message *message = request_with_cookie(NULL);
    struct response_edit edit = respond(&f, 1, NULL, message, text);
    assert_true(span_eq(edit.add_set_cookie, SPAN("SRV=app1; Path=/; HttpOnly; SameSite=Lax")));
    assert_int_equal(edit.set_cookie.change, SET_COOKIE_KEEP);
    assert_int_equal(respond(&f, 1, f.backend->servers[1], message, text).add_set_cookie.len, 0);
    // another tab's server: its cookie is left to it
    assert_int_equal(respond(&f, 1, f.backend->servers[2], message, text).add_set_cookie.len, 0);
    down(&f, 2);
    assert_true(respond(&f, 1, f.backend->servers[2], message, text).add_set_cookie.len > 0);
    // a name that does not fit is left out, not cut
    char name[600];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    f.config.opt.cookie_name = name;
    assert_int_equal(respond(&f, 1, NULL, message, text).add_set_cookie.len, 0);
    fixture_close(&f);
}

static void edits_the_servers_own(void **state)
{
    (void)state;
    struct fixture f;
    char text[512];
    fixture_init(&f, 2);
    f.config.opt.cookie_mode = COOKIE_PREFIX;
    fixture_open(&f);
    struct message *message = request_with_cookie(NULL);
    struct response_edit edit = respond(&f, 1, NULL, message, text);
    assert_int_equal(edit.set_cookie.change, SET_COOKIE_PREFIX);
    assert_true(span_eq(edit.set_cookie.name, SPAN("io")));
    assert_true(span_eq(edit.set_cookie.server, SPAN("app1")));
    f.config.opt.cookie_mode = COOKIE_REWRITE;
    edit = respond(&f, 0, NULL, message, text);
    assert_int_equal(edit.set_cookie.change, SET_COOKIE_REPLACE);
    assert_true(span_eq(edit.set_cookie.server, SPAN("app0")));
    assert_int_equal(edit.add_set_cookie.len, 0);
    fixture_close(&f);
}

static void learns_what_servers_set(void **state)
{
    (void)state;
    struct fixture f;
    char text[512], longish[700] = "io=";
    fixture_init(&f, 3);
    fixture_open(&f);
    memset(longish + 3, 'j', 600);
    struct message *message = request_with_cookie(NULL);
    add_field(message, HEADER_SET_COOKIE, "Set-Cookie", "other=1");
    add_field(message, HEADER_DATE, "Date", "io=no");
    add_field(message, HEADER_SET_COOKIE, "Set-Cookie", "io=s3cret; Path=/");
    add_field(message, HEADER_SET_COOKIE, "Set-Cookie", "io=; Max-Age=0");
    add_field(message, HEADER_SET_COOKIE, "Set-Cookie", longish);
    struct response_edit edit = respond(&f, 2, NULL, message, text);
    assert_int_equal(edit.set_cookie.change, SET_COOKIE_KEEP);
    assert_int_equal(sidmap_used(f.backend->cookies), 2);
    assert_int_equal(sidmap_used(f.backend->sids), 0);
    assert_ptr_equal(find(&f, NULL, "io=s3cret").server, f.backend->servers[2]);
    assert_ptr_equal(find(&f, NULL, longish).server, f.backend->servers[2]);
    longish[602] = 'k'; // one byte of a long one differs
    assert_int_equal(find(&f, NULL, longish).answer, STICKY_NOBODY);
    assert_int_equal(find(&f, NULL, "other=1").answer, STICKY_NOBODY);
    assert_int_equal(find(&f, NULL, "io=no").answer, STICKY_NOBODY);
    assert_int_equal(sidmap_used(f.backend->cookies), 2); // asking creates nothing

    // it lives for an hour after its last use
    struct message *asking = request_with_cookie("io=s3cret");
    int64_t later = NOW + HOUR;
    assert_non_null(sticky_cookie_server(f.backend, &asking->head, asking->base, later));
    later += HOUR;
    assert_non_null(sticky_cookie_server(f.backend, &asking->head, asking->base, later));
    later += HOUR + SIDMAP_SLACK_MS;
    assert_null(sticky_cookie_server(f.backend, &asking->head, asking->base, later));

    // what another server sets for the same value counts from then on
    message = request_with_cookie(NULL);
    add_field(message, HEADER_SET_COOKIE, "Set-Cookie", "io=s3cret");
    respond(&f, 0, NULL, message, text);
    assert_ptr_equal(find(&f, NULL, "io=s3cret").server, f.backend->servers[0]);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sid_leads_to_its_server),
        cmocka_unit_test(draining_and_full_owners_keep_it),
        cmocka_unit_test(dead_owners_are_an_answer),
        cmocka_unit_test(unknown_sids_are_missed),
        cmocka_unit_test(a_sid_beats_every_cookie),
        cmocka_unit_test(cookies_by_name),
        cmocka_unit_test(old_servers_cookie_is_the_sid),
        cmocka_unit_test(source_is_the_last_resort),
        cmocka_unit_test(what_is_not_listed_is_not_asked),
        cmocka_unit_test(requests_are_edited),
        cmocka_unit_test(inserts_when_needed),
        cmocka_unit_test(edits_the_servers_own),
        cmocka_unit_test(learns_what_servers_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
