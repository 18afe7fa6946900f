// SPDX-License-Identifier: Apache-2.0
/*
 * Events by a table of names. Only those that decide something have a kind of their own; new ones of
 * later versions are EVENT_OTHER and go to the log. Hosts may be names (announce-hostnames), IPv4 or
 * IPv6 addresses: they are taken as words, never looked into.
 */
#include "sentinel-watch/event.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* How the payload is read. */
enum form { FORM_INSTANCE, FORM_SWITCH, FORM_EPOCH, FORM_VOTE, FORM_NONE };

static const struct {
    const char *channel;
    enum event_kind kind;
    enum form form;
} table[] = {
    {"+sdown", EVENT_SDOWN, FORM_INSTANCE},
    {"-sdown", EVENT_SDOWN_OVER, FORM_INSTANCE},
    {"+odown", EVENT_ODOWN, FORM_INSTANCE},
    {"-odown", EVENT_ODOWN_OVER, FORM_INSTANCE},
    {"+new-epoch", EVENT_NEW_EPOCH, FORM_EPOCH},
    {"+vote-for-leader", EVENT_VOTE, FORM_VOTE},
    {"+try-failover", EVENT_TRY_FAILOVER, FORM_INSTANCE},
    {"+selected-slave", EVENT_SELECTED, FORM_INSTANCE},
    {"+failover-state-send-slaveof-noone", EVENT_SELECTED, FORM_INSTANCE},
    {"+failover-state-wait-promotion", EVENT_PROMOTING, FORM_INSTANCE},
    {"+promoted-slave", EVENT_PROMOTED, FORM_INSTANCE},
    {"+failover-end", EVENT_FAILOVER_END, FORM_INSTANCE},
    {"+failover-end-for-timeout", EVENT_OTHER, FORM_INSTANCE}, // +failover-end follows
    {"-failover-abort-not-elected", EVENT_FAILOVER_LOST, FORM_INSTANCE},
    {"-failover-abort-no-good-slave", EVENT_FAILOVER_ABORT, FORM_INSTANCE},
    {"-failover-abort-slave-timeout", EVENT_FAILOVER_LOST, FORM_INSTANCE},
    {"-failover-abort-master-is-back", EVENT_FAILOVER_ABORT, FORM_INSTANCE}, // old versions
    {"+switch-master", EVENT_SWITCH, FORM_SWITCH},
    {"+config-update-from", EVENT_CONFIG_UPDATE, FORM_INSTANCE},
    {"-role-change", EVENT_ROLE_WRONG, FORM_INSTANCE},
    {"+convert-to-slave", EVENT_CONVERT, FORM_INSTANCE},
    {"+reboot", EVENT_REBOOT, FORM_INSTANCE},
    {"+reset-master", EVENT_RESET, FORM_INSTANCE},
    {"+slave", EVENT_MEMBER, FORM_INSTANCE},
    {"+sentinel", EVENT_MEMBER, FORM_INSTANCE},
    {"+sentinel-address-switch", EVENT_MEMBER, FORM_INSTANCE},
    {"+monitor", EVENT_OTHER, FORM_INSTANCE},
    {"-monitor", EVENT_OTHER, FORM_INSTANCE},
    {"+set", EVENT_OTHER, FORM_INSTANCE},
    {"+tilt", EVENT_TILT, FORM_NONE},
    {"-tilt", EVENT_TILT_OVER, FORM_NONE},
};

/* ---- places ---- */

/* Names, IPv4, and IPv6 with a zone. No path, no quote, no bracket: hosts go into JSON and addresses. */
static bool may_stand_in_host(char c)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return letter || (c >= '0' && c <= '9') || (c != '\0' && strchr("._-:%", c) != NULL);
}

bool place_parse(struct span host, struct span port, struct place *out)
{
    uint64_t number;
    if (host.len == 0 || host.len >= PLACE_HOST_MAX || !span_to_u64(port, &number) || number == 0 ||
        number > UINT16_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++)
        if (!may_stand_in_host(host.ptr[i]))
            return false;
    span_to_str(host, out->host, sizeof(out->host));
    out->port = (uint16_t)number;
    return true;
}

bool place_parse_text(struct span text, struct place *out)
{
    size_t colon = SIZE_MAX;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == ':')
            colon = i;
    if (colon == SIZE_MAX)
        return false;
    struct span host = span_upto(text, colon);
    if (span_starts(host, SPAN("[")) && span_ends(host, SPAN("]")))
        host = span_of(host.ptr + 1, host.len - 2);
    return place_parse(host, span_from(text, colon + 1), out);
}

bool place_eq(const struct place *a, const struct place *b)
{
    return a->port == b->port && strcasecmp(a->host, b->host) == 0;
}

bool place_known(const struct place *place)
{
    return place->port != 0;
}

char *place_show(const struct place *place, char out[static PLACE_TEXT_MAX])
{
    bool v6 = strchr(place->host, ':') != NULL;
    if (!place_known(place))
        snprintf(out, PLACE_TEXT_MAX, "-");
    else
        snprintf(out, PLACE_TEXT_MAX, v6 ? "[%s]:%u" : "%s:%u", place->host, place->port);
    return out;
}

/* ---- events ---- */

static struct span word(struct span *rest)
{
    return span_cut(rest, ' ');
}

static bool read_name(struct span name, struct event *out)
{
    if (name.len == 0 || name.len >= sizeof(out->master))
        return false;
    span_to_str(name, out->master, sizeof(out->master));
    return true;
}

static bool read_instance(struct span payload, struct event *out)
{
    struct span type = word(&payload), name = word(&payload);
    struct span host = word(&payload), port = word(&payload);
    if (!place_parse(host, port, &out->place))
        return false;
    if (span_eq(type, SPAN("master"))) {
        out->instance = INSTANCE_MASTER;
        return read_name(name, out);
    }
    bool replica = span_eq(type, SPAN("slave")) || span_eq(type, SPAN("replica"));
    if (!replica && !span_eq(type, SPAN("sentinel")))
        return false;
    out->instance = replica ? INSTANCE_REPLICA : INSTANCE_SENTINEL;
    return span_eq(word(&payload), SPAN("@")) && read_name(word(&payload), out);
}

static bool read_switch(struct span payload, struct event *out)
{
    struct span name = word(&payload), host = word(&payload), port = word(&payload);
    struct span new_host = word(&payload), new_port = word(&payload);
    return read_name(name, out) && place_parse(host, port, &out->place) &&
           place_parse(new_host, new_port, &out->new_place);
}

static bool read_vote(struct span payload, struct event *out)
{
    struct span run_id = word(&payload);
    span_to_str(run_id, out->run_id, sizeof(out->run_id));
    return run_id.len == FAILOVER_RUN_ID_MAX - 1 && span_to_u64(word(&payload), &out->epoch);
}

static bool read_form(enum form form, struct span payload, struct event *out)
{
    switch (form) {
    case FORM_INSTANCE:
        return read_instance(payload, out);
    case FORM_SWITCH:
        return read_switch(payload, out);
    case FORM_EPOCH:
        return span_to_u64(word(&payload), &out->epoch);
    case FORM_VOTE:
        return read_vote(payload, out);
    case FORM_NONE:
        break;
    }
    return true;
}

const char *event_channel(size_t i)
{
    return i < array_len(table) ? table[i].channel : NULL;
}

void event_parse(struct span channel, struct span payload, struct event *out)
{
    *out = (struct event){.kind = EVENT_OTHER};
    for (size_t i = 0; i < array_len(table); i++) {
        if (!span_eq(channel, span_str(table[i].channel)))
            continue;
        if (read_form(table[i].form, payload, out))
            out->kind = table[i].kind;
        else
            *out = (struct event){.kind = EVENT_OTHER};
        return;
    }
}
