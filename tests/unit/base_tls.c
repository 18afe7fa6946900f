// SPDX-License-Identifier: Apache-2.0
/*
 * TLS over two conns on a socketpair, client and server in one loop: fragments of one byte, much data
 * both ways, half-close, key updates, text instead of TLS; and the choice of a certificate by name.
 * Certificates are made by openssl(1) when the tests begin.
 */
#include "base/conn.h"
#include "base/tls.h"
#include "base/tls_inside.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/limpet-tls-XXXXXX";
static const uint8_t seed[TLS_SEED_BYTES] = {1, 2, 3};

/* ---- certificates ---- */

static void make(const char *name, const char *kind, const char *names)
{
    char command[1024];
    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey %s -nodes -days 3 -subj /CN=%s -addext subjectAltName=%s "
             "-keyout %s/%s.key -out %s/%s.pem 2>/dev/null",
             kind, name, names, dir, name, dir, name);
    assert_int_equal(system(command), 0);
}

static int make_all(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    make("chat", "ec -pkeyopt ec_paramgen_curve:P-256", "DNS:chat.test,DNS:Other.Test");
    make("rsa", "rsa:2048", "DNS:chat.test");
    make("wild", "ec -pkeyopt ec_paramgen_curve:P-256", "DNS:*.wild.test,DNS:deep.exact.wild.test");
    return 0;
}

static int remove_all(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

/* A file below dir; lives to the end of the program. */
static struct span file(const char *name, const char *suffix)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s.%s", dir, name, suffix);
    static char room[1024 * 1024];
    static size_t used;
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    size_t n = fread(room + used, 1, sizeof(room) - used, in);
    fclose(in);
    struct span bytes = span_of(room + used, n);
    used += n;
    return bytes;
}

static struct tls_context *server_of(const char *const *names, size_t n,
                                     struct tls_server_options options)
{
    struct tls_certificate list[8];
    struct tls_fault fault;
    for (size_t i = 0; i < n; i++)
        list[i] = (struct tls_certificate){file(names[i], "pem"), file(names[i], "key"), SPAN_NONE};
    options.certificates = list;
    options.certificate_count = n;
    options.seed = seed;
    struct tls_context *context = tls_context_server(&options, &fault);
    if (!context)
        fail_msg("%s", fault.text);
    return context;
}

static struct tls_context *server(void)
{
    static const char *const names[] = {"chat", "rsa", "wild"};
    return server_of(names, 3, (struct tls_server_options){.rotate_s = 3600});
}

static struct tls_context *client(bool verify)
{
    struct tls_fault fault;
    struct tls_client_options options = {.verify = verify,
                                         .ca = verify ? file("chat", "pem") : SPAN_NONE};
    struct tls_context *context = tls_context_client(&options, &fault);
    assert_non_null(context);
    return context;
}

/* ---- two ends ---- */

struct end {
    struct conn conn;
    size_t taken, sum; /* bytes that came, and what they add up to */
    int connected, drained, eof, failed;
    bool keep; /* take nothing */
    enum tls_trouble trouble;
    char error[TLS_ERROR_MAX];
};

struct pair {
    struct loop loop;
    struct shelf *shelf;
    struct end a, b; /* client, server */
    struct tls_context *contexts[2];
};

static struct end *end_of(struct conn *conn)
{
    return container_of(conn, struct end, conn);
}

static void on_connected(struct conn *conn)
{
    end_of(conn)->connected++;
}

static void on_bytes(struct conn *conn)
{
    struct end *end = end_of(conn);
    struct span bytes = buf_bytes(&conn->in);
    if (end->keep)
        return;
    for (size_t i = 0; i < bytes.len; i++)
        end->sum += (unsigned char)bytes.ptr[i];
    end->taken += bytes.len;
    conn_consume(conn, bytes.len);
}

static void on_drained(struct conn *conn)
{
    end_of(conn)->drained++;
}

static void on_eof(struct conn *conn)
{
    end_of(conn)->eof++;
}

static void on_failed(struct conn *conn)
{
    struct end *end = end_of(conn);
    end->failed++;
    if (!conn->tls)
        return;
    end->trouble = conn->tls->trouble;
    snprintf(end->error, sizeof(end->error), "%s", tls_error(conn->tls));
}

static const struct conn_owner owner = {on_connected, on_bytes, on_drained, on_eof, on_failed};

static void pair_open(struct pair *pair, int *fds)
{
    memset(pair, 0, sizeof(*pair));
    pair->shelf = shelf_new();
    assert_true(loop_init(&pair->loop, pair));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
}

static void pair_secure(struct pair *pair, struct tls_context *a, struct tls_context *b,
                        const char *name, struct tls_session *session)
{
    int fds[2];
    pair_open(pair, fds);
    pair->contexts[0] = a;
    pair->contexts[1] = b;
    assert_true(conn_init(&pair->a.conn, &pair->loop, pair->shelf, fds[0], true, &owner));
    assert_true(conn_init(&pair->b.conn, &pair->loop, pair->shelf, fds[1], false, &owner));
    conn_secure(&pair->a.conn, tls_connect(a, name, session));
    conn_secure(&pair->b.conn, tls_accept(b));
}

static void pair_turn(struct pair *pair, int turns)
{
    for (int i = 0; i < turns; i++)
        loop_turn(&pair->loop, 0);
}

static void pair_connect(struct pair *pair, const char *name)
{
    pair_secure(pair, client(false), server(), name, NULL);
    pair_turn(pair, 20);
    assert_int_equal(pair->a.connected, 1);
    assert_int_equal(pair->b.connected, 1);
}

static void pair_end(struct pair *pair)
{
    conn_close(&pair->a.conn);
    conn_close(&pair->b.conn);
    struct shelf_stats stats;
    shelf_stats(pair->shelf, &stats);
    assert_int_equal(stats.lent, 0);
    loop_fini(&pair->loop);
    shelf_free(pair->shelf);
    tls_context_unref(pair->contexts[0]);
    tls_context_unref(pair->contexts[1]);
}

static void write_text(struct end *end, const char *text)
{
    struct span part = span_str(text);
    assert_int_not_equal(conn_write(&end->conn, &part, 1), IO_FAILED);
}

/* ---- tests ---- */

static void test_both_say_something(void **state)
{
    struct pair pair;
    (void)state;
    pair_connect(&pair, "chat.test");
    write_text(&pair.a, "hello");
    struct span parts[] = {SPAN("one "), SPAN("two "), SPAN("three")};
    assert_int_equal(conn_write(&pair.b.conn, parts, 3), IO_DONE);
    pair_turn(&pair, 5);
    assert_int_equal(pair.b.taken, 5);
    assert_int_equal(pair.a.taken, 13);
    assert_int_equal(pair.b.conn.received, 5);
    assert_int_equal(pair.b.conn.sent, 13); // Text, not records.
    assert_string_equal(tls_version(pair.a.conn.tls), "TLSv1.3");
    assert_string_equal(tls_server_name(pair.b.conn.tls), "chat.test");
    struct shelf_stats stats;
    shelf_stats(pair.shelf, &stats);
    assert_int_equal(stats.lent, 0); // An idle connection owns no buffer.
    pair_end(&pair);
}

/* What was put into `out` while connecting leaves behind the handshake. */
static void test_written_before_connected(void **state)
{
    struct pair pair;
    (void)state;
    pair_secure(&pair, client(false), server(), NULL, NULL);
    write_text(&pair.a, "early");
    conn_close_write(&pair.a.conn);
    pair_turn(&pair, 20);
    assert_int_equal(pair.b.taken, 5);
    assert_int_equal(pair.b.eof, 1);
    assert_false(pair.b.conn.truncated);
    pair_end(&pair);
}

static void test_half_close(void **state)
{
    struct pair pair;
    (void)state;
    pair_connect(&pair, NULL);
    write_text(&pair.a, "question");
    conn_close_write(&pair.a.conn);
    pair_turn(&pair, 5);
    assert_int_equal(pair.b.taken, 8);
    assert_int_equal(pair.b.eof, 1);
    write_text(&pair.b, "answer");
    conn_close(&pair.b.conn);
    pair_turn(&pair, 5);
    assert_int_equal(pair.a.taken, 6);
    assert_int_equal(pair.a.eof, 1);
    assert_int_equal(pair.a.failed, 0);
    assert_false(pair.a.conn.truncated);
    pair_end(&pair);
}

/* The end of the stream without TLS's own end. */
static void test_truncated(void **state)
{
    struct pair pair;
    (void)state;
    pair_connect(&pair, NULL);
    write_text(&pair.b, "half of it");
    shutdown(pair.b.conn.io.fd, SHUT_WR);
    pair_turn(&pair, 5);
    assert_int_equal(pair.a.taken, 10);
    assert_int_equal(pair.a.eof, 1);
    assert_true(pair.a.conn.truncated);
    pair_end(&pair);
}

enum { MUCH = 4 * 1024 * 1024, PIECE = 50000 };

/* Both write until the kernel takes no more, and go on when told. */
static void test_much_both_ways(void **state)
{
    struct pair pair;
    static char piece[PIECE];
    size_t due[2] = {MUCH, MUCH}, sum = 0;
    (void)state;
    for (size_t i = 0; i < PIECE; i++)
        piece[i] = (char)(i * 7 % 251);
    pair_connect(&pair, NULL);
    struct end *ends[2] = {&pair.a, &pair.b};
    for (int turn = 0; turn < 100000 && (pair.a.taken < MUCH || pair.b.taken < MUCH); turn++) {
        for (int i = 0; i < 2; i++) {
            size_t n = due[i] < PIECE ? due[i] : PIECE;
            if (n == 0 || ends[i]->conn.blocked)
                continue;
            struct span part = span_of(piece, n);
            assert_int_not_equal(conn_write(&ends[i]->conn, &part, 1), IO_FAILED);
            due[i] -= n;
        }
        loop_turn(&pair.loop, 0);
    }
    for (size_t i = 0; i < MUCH; i++)
        sum += (unsigned char)piece[i % PIECE];
    assert_int_equal(pair.a.taken, MUCH);
    assert_int_equal(pair.b.taken, MUCH);
    assert_int_equal(pair.a.sum, sum);
    assert_int_equal(pair.b.sum, sum);
    assert_int_equal(pair.a.conn.sent, MUCH);
    assert_true(pair.a.drained > 0);
    pair_end(&pair);
}

/* An owner that takes nothing stops the reading; what came meanwhile is not lost. */
static void test_full_in(void **state)
{
    struct pair pair;
    static char piece[60000];
    (void)state;
    pair_connect(&pair, NULL);
    pair.b.keep = true;
    struct span part = span_of(piece, sizeof(piece));
    conn_write(&pair.a.conn, &part, 1);
    pair_turn(&pair, 20);
    assert_int_equal(buf_len(&pair.b.conn.in), pair.b.conn.in_limit);
    assert_false(conn_quiet(&pair.b.conn));
    conn_close_write(&pair.a.conn);
    pair_turn(&pair, 20);
    assert_int_equal(pair.b.eof, 0);
    pair.b.keep = false;
    conn_resume(&pair.b.conn);
    pair_turn(&pair, 50);
    assert_int_equal(pair.b.taken, sizeof(piece));
    assert_int_equal(pair.b.eof, 1);
    pair_end(&pair);
}

/* New keys in the middle, also when the peer has to answer with its own. */
static void test_key_update(void **state)
{
    struct pair pair;
    (void)state;
    pair_connect(&pair, NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(SSL_key_update(pair.a.conn.tls->inside->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        write_text(&pair.a, "ping");
        pair_turn(&pair, 5);
        write_text(&pair.b, "pong");
        pair_turn(&pair, 5);
        assert_int_equal(pair.b.taken, 4 * (i + 1));
        assert_int_equal(pair.a.taken, 4 * (i + 1));
    }
    pair_end(&pair);
}

/* ---- fragments ---- */

static void carry(struct tls *from, struct tls *to, struct shelf *shelf, size_t most)
{
    struct span bytes = span_upto(buf_bytes(&from->wire), most);
    assert_true(buf_append(shelf, &to->raw, bytes));
    buf_consume(shelf, &from->wire, bytes.len);
}

static size_t read_all(struct tls *tls, struct shelf *shelf)
{
    struct buf in = {0};
    assert_true(buf_reserve(shelf, &in, 1000));
    assert_int_equal(tls_read(tls, shelf, &in, 1000), TLS_DONE);
    size_t n = buf_len(&in);
    buf_clear(shelf, &in);
    return n;
}

static void test_one_byte_at_a_time(void **state)
{
    struct shelf *shelf = shelf_new();
    struct tls_context *contexts[2] = {client(false), server()};
    struct tls *a = tls_connect(contexts[0], "chat.test", NULL), *b = tls_accept(contexts[1]);
    (void)state;
    for (int i = 0; i < 20000 && !(a->ready && b->ready); i++) {
        if (!a->ready)
            assert_int_not_equal(tls_handshake(a, shelf), TLS_FAILED);
        carry(a, b, shelf, 1);
        if (!b->ready)
            assert_int_not_equal(tls_handshake(b, shelf), TLS_FAILED);
        carry(b, a, shelf, 1);
    }
    assert_true(a->ready && b->ready);
    size_t got = 0;
    assert_true(tls_write(a, shelf, SPAN("byte by byte")));
    while (buf_len(&a->wire) > 0) {
        carry(a, b, shelf, 1);
        got += read_all(b, shelf);
    }
    assert_int_equal(got, 12);
    tls_free(a, shelf);
    tls_free(b, shelf);
    tls_context_unref(contexts[0]);
    tls_context_unref(contexts[1]);
    shelf_free(shelf);
}

/* ---- refusals ---- */

static void test_http_instead(void **state)
{
    struct pair pair;
    int fds[2];
    char answer[16] = "";
    (void)state;
    pair_open(&pair, fds);
    pair.contexts[1] = server();
    pair.a.conn.io.fd = -1;
    assert_true(conn_init(&pair.b.conn, &pair.loop, pair.shelf, fds[1], false, &owner));
    conn_secure(&pair.b.conn, tls_accept(pair.contexts[1]));
    assert_int_equal(write(fds[0], "GET / HTTP/1.1\r\n\r\n", 18), 18);
    pair_turn(&pair, 5);
    assert_int_equal(pair.b.failed, 1);
    assert_int_equal(pair.b.trouble, TLS_TROUBLE_HTTP);
    char alert[64]; // Ours comes first; who speaks no TLS is not told by one.
    while (recv(fds[0], alert, sizeof(alert), MSG_DONTWAIT) > 0)
        ;
    conn_unsecure(&pair.b.conn);
    write_text(&pair.b, "sorry");
    assert_int_equal(recv(fds[0], answer, sizeof(answer), MSG_DONTWAIT), 5);
    assert_string_equal(answer, "sorry");
    close(fds[0]);
    pair_end(&pair);
}

static void test_gone_in_the_middle(void **state)
{
    struct pair pair;
    int fds[2];
    (void)state;
    pair_open(&pair, fds);
    pair.contexts[1] = server();
    pair.a.conn.io.fd = -1;
    assert_true(conn_init(&pair.b.conn, &pair.loop, pair.shelf, fds[1], false, &owner));
    conn_secure(&pair.b.conn, tls_accept(pair.contexts[1]));
    assert_int_equal(write(fds[0], "\x16\x03\x01\x02", 4), 4);
    pair_turn(&pair, 5);
    assert_int_equal(pair.b.failed, 0);
    close(fds[0]);
    pair_turn(&pair, 5);
    assert_int_equal(pair.b.failed, 1);
    assert_int_equal(pair.b.trouble, TLS_TROUBLE_CLOSED);
    pair_end(&pair);
}

static void test_wrong_name(void **state)
{
    struct pair pair;
    (void)state;
    pair_secure(&pair, client(true), server(), "elsewhere.test", NULL);
    pair_turn(&pair, 20);
    assert_int_equal(pair.a.failed, 1);
    assert_int_equal(pair.a.trouble, TLS_TROUBLE_CERTIFICATE);
    assert_string_equal(pair.a.error, "hostname mismatch");
    assert_int_equal(pair.b.trouble, TLS_TROUBLE_REFUSED);
    pair_end(&pair);
}

static void test_right_name(void **state)
{
    struct pair pair;
    (void)state;
    pair_secure(&pair, client(true), server(), "other.test", NULL);
    pair_turn(&pair, 20);
    assert_int_equal(pair.a.connected, 1);
    pair_end(&pair);
}

static void test_faults(void **state)
{
    struct tls_fault fault;
    struct tls_certificate one = {file("chat", "pem"), file("rsa", "key"), SPAN_NONE};
    struct tls_server_options options = {.certificates = &one, .certificate_count = 1};
    (void)state;
    assert_null(tls_context_server(&options, &fault));
    assert_int_equal(fault.certificate, 0);
    one.key = file("chat", "key");
    one.ocsp = SPAN("nonsense");
    assert_null(tls_context_server(&options, &fault));
    one.ocsp = SPAN_NONE;
    options.ciphers = "NONE-OF-THESE";
    assert_null(tls_context_server(&options, &fault));
    assert_int_equal(fault.certificate, -1);
    options.ciphers = NULL;
    options.verify = TLS_VERIFY_REQUIRED;
    options.client_ca = SPAN("not PEM");
    assert_null(tls_context_server(&options, &fault));
    options.verify = TLS_VERIFY_OFF;
    struct tls_context *good = tls_context_server(&options, &fault);
    assert_non_null(good);
    tls_context_unref(good);
}

/* ---- sessions ---- */

/* Connects with what the last connection left. True: it went on with that. */
static bool resumes(struct tls_context *a, struct tls_context *b, struct tls_session *session)
{
    struct pair pair;
    pair_secure(&pair, tls_context_ref(a), tls_context_ref(b), "chat.test", session);
    pair_turn(&pair, 20);
    write_text(&pair.b, "x"); // The ticket comes with the first bytes at the latest.
    pair_turn(&pair, 5);
    assert_int_equal(pair.a.taken, 1);
    bool resumed = tls_resumed(pair.b.conn.tls);
    pair_end(&pair);
    return resumed;
}

static void test_resumption(void **state)
{
    static const char *const names[] = {"chat"};
    struct tls_context *a = client(false);
    struct tls_server_options options = {.rotate_s = 3600, .realm = SPAN("one")};
    struct tls_context *b = server_of(names, 1, options), *same = server_of(names, 1, options);
    options.realm = SPAN("two");
    struct tls_context *other = server_of(names, 1, options);
    struct tls_context *none = server_of(names, 1, (struct tls_server_options){.rotate_s = 0});
    struct tls_session session = {0};
    (void)state;
    assert_false(resumes(a, b, &session));
    assert_true(resumes(a, b, &session));
    assert_true(resumes(a, same, &session)); // As another process would.
    assert_false(resumes(a, other, &session));
    tls_session_forget(&session);
    assert_false(resumes(a, none, &session));
    assert_false(resumes(a, none, &session));
    tls_session_forget(&session);
    tls_context_unref(a);
    tls_context_unref(b);
    tls_context_unref(same);
    tls_context_unref(other);
    tls_context_unref(none);
}

/* ---- names ---- */

static void test_names(void **state)
{
    struct tls_context *context = server();
    SSL_CTX *chat = context->sets[0].ctx;
    (void)state;
    assert_int_equal(context->sets[0].count, 2); // ECDSA and RSA.
    assert_ptr_equal(tls_names_find(context, SPAN("chat.test")), chat);
    assert_ptr_equal(tls_names_find(context, SPAN("CHAT.test.")), chat);
    assert_non_null(tls_names_find(context, SPAN("other.test")));
    SSL_CTX *wild = tls_names_find(context, SPAN("a.wild.test"));
    assert_non_null(wild);
    assert_ptr_not_equal(wild, chat);
    assert_ptr_equal(tls_names_find(context, SPAN("deep.exact.wild.test")), wild);
    assert_null(tls_names_find(context, SPAN("wild.test")));
    assert_null(tls_names_find(context, SPAN("a.b.wild.test")));
    assert_null(tls_names_find(context, SPAN(".wild.test")));
    assert_null(tls_names_find(context, SPAN("chat.test..")));
    assert_null(tls_names_find(context, SPAN("")));
    assert_null(tls_names_find(context, SPAN("chat.test\0x")));
    struct tls_certificate_info info;
    assert_int_equal(tls_context_certificates(context), 3);
    tls_context_certificate(context, 1, &info);
    assert_string_equal(info.name, "chat.test");
    assert_string_equal(info.kind, "RSA");
    assert_true(info.expires_s > (int64_t)time(NULL) + 86400);
    tls_context_unref(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_say_something),
        cmocka_unit_test(test_written_before_connected),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_much_both_ways),
        cmocka_unit_test(test_full_in),
        cmocka_unit_test(test_key_update),
        cmocka_unit_test(test_one_byte_at_a_time),
        cmocka_unit_test(test_http_instead),
        cmocka_unit_test(test_gone_in_the_middle),
        cmocka_unit_test(test_wrong_name),
        cmocka_unit_test(test_right_name),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, make_all, remove_all);
}
