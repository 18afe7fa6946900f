// SPDX-License-Identifier: Apache-2.0
/*
 * For whom is which certificate? Names come out of the certificates: the DNS names of
 * subjectAltName, and the common name of those that have none. A name's set is, for each kind of key,
 * the first certificate that has exactly this name, else the first whose wildcard covers it.
 *
 * A wildcard stands for one label, the leftmost, whole. Names are compared in lower case; a dot at
 * the end is the client's to leave out or not.
 */
#include "base/mem.h"
#include "base/tls_inside.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 253 };

/* ---- the names of one certificate ---- */

typedef void name_fn(struct span name, void *ctx);

static void each_alt_name(const GENERAL_NAMES *all, name_fn *visit, void *ctx)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(all, i);
        if (one->type != GEN_DNS)
            continue;
        const ASN1_IA5STRING *text = one->d.dNSName;
        visit(span_of((const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)),
              ctx);
    }
}

static void each_name(X509 *leaf, name_fn *visit, void *ctx)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    if (all) {
        each_alt_name(all, visit, ctx);
        GENERAL_NAMES_free(all);
        return;
    }
    const X509_NAME *subject = X509_get_subject_name(leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *text = NULL;
    int len = -1;
    if (at >= 0)
        len = ASN1_STRING_to_UTF8(&text,
                                  X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (len > 0)
        visit(span_of((const char *)text, (size_t)len), ctx);
    OPENSSL_free(text);
}

/* In lower case and without a last dot; false: no name for a host. */
static bool fold(struct span name, char out[static NAME_MAX_BYTES + 1])
{
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c <= ' ' || c > '~')
            return false;
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    out[name.len] = '\0';
    return true;
}

static void take_name(struct span name, void *ctx)
{
    struct tls_identity *identity = ctx;
    char folded[NAME_MAX_BYTES + 1];
    if (!fold(name, folded))
        return;
    identity->names = mem_must_resize(identity->names, (identity->name_count + 1) * sizeof(char *));
    identity->names[identity->name_count++] = mem_must_copy(folded);
}

void tls_names_read(struct tls_identity *identity)
{
    each_name(identity->leaf, take_name, identity);
}

/* ---- all names ---- */

static bool is_for(const struct tls_identity *identity, struct span name)
{
    for (size_t i = 0; i < identity->name_count; i++) {
        if (span_eq(span_str(identity->names[i]), name))
            return true;
    }
    return false;
}

static int by_text(const void *a, const void *b)
{
    const struct tls_name *x = a, *y = b;
    return strcmp(x->text, y->text);
}

/* All names of all certificates, sorted, each once. */
static void gather(struct tls_context *context)
{
    size_t most = 0, count = 0;
    for (size_t i = 0; i < context->identity_count; i++)
        most += context->identities[i].name_count;
    context->names = mem_must_alloc((most + 1) * sizeof(*context->names));
    for (size_t i = 0; i < context->identity_count; i++) {
        const struct tls_identity *identity = &context->identities[i];
        for (size_t k = 0; k < identity->name_count; k++)
            context->names[count++].text = identity->names[k];
    }
    qsort(context->names, count, sizeof(*context->names), by_text);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(context->names[i].text, context->names[i - 1].text) != 0)
            context->names[context->name_count++].text = context->names[i].text;
    }
}

/* ---- sets ---- */

static bool has_kind(const struct tls_context *context, const struct tls_set *set, int kind)
{
    for (size_t i = 0; i < set->count; i++) {
        if (EVP_PKEY_get_base_id(context->identities[set->members[i]].key) == kind)
            return true;
    }
    return false;
}

static void set_add(const struct tls_context *context, struct tls_set *set, size_t i)
{
    if (set->count < TLS_SET_MAX &&
        !has_kind(context, set, EVP_PKEY_get_base_id(context->identities[i].key)))
        set->members[set->count++] = i;
}

static void set_add_all_for(const struct tls_context *context, struct tls_set *set,
                            struct span name)
{
    for (size_t i = 0; i < context->identity_count; i++) {
        if (is_for(&context->identities[i], name))
            set_add(context, set, i);
    }
}

/* "chat.example.com" → "*.example.com"; nothing for a name that has no label to leave. */
static struct span wildcard_of(struct span name, char out[static NAME_MAX_BYTES + 3])
{
    size_t dot = span_index(name, '.');
    if (dot == SIZE_MAX || dot == 0 || span_starts(name, SPAN("*")))
        return SPAN_NONE;
    struct span rest = span_from(name, dot);
    out[0] = '*';
    memcpy(out + 1, rest.ptr, rest.len);
    return span_of(out, rest.len + 1);
}

static void set_fill(const struct tls_context *context, struct tls_set *set, struct span name)
{
    char wildcard[NAME_MAX_BYTES + 3];
    set_add_all_for(context, set, name);
    struct span wide = wildcard_of(name, wildcard);
    if (wide.len > 0)
        set_add_all_for(context, set, wide);
}

static bool set_same(const struct tls_set *a, const struct tls_set *b)
{
    return a->count == b->count &&
           memcmp(a->members, b->members, a->count * sizeof(a->members[0])) == 0;
}

static size_t set_number(struct tls_context *context, const struct tls_set *set)
{
    for (size_t i = 0; i < context->set_count; i++) {
        if (set_same(&context->sets[i], set))
            return i;
    }
    context->sets = mem_must_resize(context->sets,
                                    (context->set_count + 1) * sizeof(*context->sets));
    context->sets[context->set_count] = *set;
    return context->set_count++;
}

void tls_names_sort(struct tls_context *context)
{
    gather(context);
    // The first certificate, and others of its name with other kinds of keys.
    const struct tls_identity *first = &context->identities[0];
    struct tls_set set = {.members = {0}, .count = 1};
    if (first->name_count > 0)
        set_fill(context, &set, span_str(first->names[0]));
    set_number(context, &set);
    for (size_t i = 0; i < context->name_count; i++) {
        set = (struct tls_set){.count = 0};
        set_fill(context, &set, span_str(context->names[i].text));
        context->names[i].set = set_number(context, &set);
    }
}

static const struct tls_name *find(const struct tls_context *context, const char *text)
{
    struct tls_name key = {.text = text};
    if (context->name_count == 0)
        return NULL;
    return bsearch(&key, context->names, context->name_count, sizeof(key), by_text);
}

SSL_CTX *tls_names_find(const struct tls_context *context, struct span name)
{
    char folded[NAME_MAX_BYTES + 1], wildcard[NAME_MAX_BYTES + 4];
    if (!fold(name, folded))
        return NULL;
    const struct tls_name *found = find(context, folded);
    struct span wide = wildcard_of(span_str(folded), wildcard);
    if (!found && wide.len > 0) {
        wildcard[wide.len] = '\0';
        found = find(context, wildcard);
    }
    return found ? context->sets[found->set].ctx : NULL;
}

void tls_names_free(struct tls_identity *identity)
{
    for (size_t i = 0; i < identity->name_count; i++)
        free(identity->names[i]);
    free(identity->names);
}
