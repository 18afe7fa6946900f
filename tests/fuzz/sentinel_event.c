// SPDX-License-Identifier: Apache-2.0
/*
 * What a sentinel publishes: the first line is the channel, the rest the payload. Checked: places and
 * names that come out are ones that can be written and read again, and an event that is not
 * understood is empty.
 */
#include "sentinel-watch/event.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_place(const struct place *place)
{
    char text[PLACE_TEXT_MAX];
    struct place again;
    assert(memchr(place->host, '\0', sizeof(place->host)));
    if (!place_known(place))
        return;
    place_show(place, text);
    bool good = place_parse_text(span_str(text), &again);
    assert(good && place_eq(place, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct event none;
    struct span rest = span_of((const char *)data, size);
    struct span channel = span_cut(&rest, '\n');
    struct event event;
    event_parse(channel, rest, &event);
    assert(memchr(event.master, '\0', sizeof(event.master)));
    assert(memchr(event.run_id, '\0', sizeof(event.run_id)));
    check_place(&event.place);
    check_place(&event.new_place);
    if (event.kind == EVENT_OTHER && event.instance == INSTANCE_NONE)
        assert(strcmp(event.master, none.master) == 0);
    return 0;
}
