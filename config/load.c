// SPDX-License-Identifier: Apache-2.0
/*
 * YAML, by libyaml's events, into the node tree of load.h. The only file that knows yaml.h.
 *
 * Syntax errors and broken bounds end the reading (there is nothing sensible behind them);
 * duplicate keys, odd keys and tags are noted and reading goes on, so that one run shows them all.
 *
 * An alias is the anchored node itself, not a copy. What makes that safe: an anchor can be used
 * only when its node is complete (so there are no cycles), and the weights of all aliased nodes are
 * added up against LOAD_ALIASED_MAX (so "billion laughs" ends early). A merge is done when its map
 * is complete; as the maps that it names are complete too, nothing is ever merged twice.
 */
#include "config/load.h"

#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { ANCHORS_MAX = 1000 };

struct anchor {
    char *name;
    struct node *node; /* NULL while it is being read */
};

struct loader {
    yaml_parser_t parser;
    struct tree *tree;
    struct diag *diag;
    struct anchor *anchors;
    size_t anchor_count;
    size_t aliased; /* weight of everything that aliases stand for so far */
    bool failed;    /* reading ends */
};

/* ---- events -----------------------------------------------------------------------------------
 */

static int mark_line(yaml_mark_t mark)
{
    return (int)mark.line + 1;
}

static int mark_column(yaml_mark_t mark)
{
    return (int)mark.column + 1;
}

static void fail_at(struct loader *loader, yaml_mark_t mark, const char *message)
{
    loader->failed = true;
    diag_add(loader->diag, mark_line(mark), mark_column(mark), "%s", message);
}

/* In flow style, ${VAR} without quotes is what leads to most syntax errors there. */
static const char *syntax_hint(const struct loader *loader, yaml_mark_t mark)
{
    struct span rest = loader->diag->text;
    struct span line = SPAN_NONE;
    for (size_t i = 0; i <= mark.line; i++)
        line = span_cut(&rest, '\n');
    return span_find(line, SPAN("${")) != SIZE_MAX
               ? "; inside {} and [] write \"${VAR}\", in quotes"
               : "";
}

static void syntax_error(struct loader *loader)
{
    const yaml_parser_t *parser = &loader->parser;
    const char *problem = parser->problem ? parser->problem : "not YAML";
    yaml_mark_t mark = parser->problem_mark;
    loader->failed = true;
    if (parser->error == YAML_READER_ERROR) {
        int line, column;
        diag_locate(loader->diag->text, parser->problem_offset, &line, &column);
        bool control = strncmp(problem, "control", strlen("control")) == 0;
        char value[24] = "";
        if (parser->problem_value >= 0) /* -1: the text ends inside a character */
            snprintf(value, sizeof value, " (0x%02x)", (unsigned)parser->problem_value);
        diag_add(loader->diag, line, column, "%s%s", control ? problem : "invalid UTF-8", value);
        return;
    }
    const char *hint = syntax_hint(loader, mark);
    if (parser->context && parser->context_mark.line != mark.line)
        diag_add(loader->diag, mark_line(mark), mark_column(mark), "%s %s that began on line %d%s",
                 problem, parser->context, mark_line(parser->context_mark), hint);
    else
        diag_add(loader->diag, mark_line(mark), mark_column(mark), "%s%s%s%s", problem,
                 parser->context ? " " : "", parser->context ? parser->context : "", hint);
}

/* False when reading has failed; else the event must be deleted. */
static bool next_event(struct loader *loader, yaml_event_t *event)
{
    if (loader->failed)
        return false;
    if (yaml_parser_parse(&loader->parser, event))
        return true;
    syntax_error(loader);
    return false;
}

/* ---- nodes ------------------------------------------------------------------------------------
 */

static struct node *node_new(struct loader *loader, enum node_kind kind, yaml_mark_t mark)
{
    struct node *node = mem_must_alloc(sizeof *node);
    node->kind = kind;
    node->line = mark_line(mark);
    node->column = mark_column(mark);
    node->weight = 1;
    node->next = loader->tree->all;
    loader->tree->all = node;
    return node;
}

/* Makes room for one more item (and key); the arrays double. */
static void node_grow(struct node *node)
{
    if ((node->count & (node->count - 1)) != 0)
        return;
    size_t room = node->count > 0 ? node->count * 2 : 1;
    node->items = mem_must_resize(node->items, room * sizeof(struct node *));
    if (node->kind == NODE_MAP)
        node->keys = mem_must_resize(node->keys, room * sizeof(struct node *));
}

static void node_append(struct node *node, struct node *key, struct node *item)
{
    node_grow(node);
    if (key)
        node->keys[node->count] = key;
    node->items[node->count++] = item;
    node->weight += item->weight;
}

bool node_is_empty(const struct node *node)
{
    return node->kind == NODE_SCALAR && node->plain && node->text.len == 0;
}

const struct node *node_get(const struct node *map, const char *key)
{
    for (size_t i = 0; map->kind == NODE_MAP && i < map->count; i++)
        if (span_eq(map->keys[i]->text, span_str(key)))
            return map->items[i];
    return NULL;
}

/* ---- anchors ----------------------------------------------------------------------------------
 */

/* Notes an anchor whose node is about to be read; its index + 1, 0 when there is none. */
static size_t anchor_open(struct loader *loader, const yaml_char_t *name, yaml_mark_t mark)
{
    if (!name)
        return 0;
    if (loader->anchor_count == ANCHORS_MAX) {
        fail_at(loader, mark, "too many anchors (1000 at most)");
        return 0;
    }
    loader->anchors = mem_must_resize(loader->anchors,
                                      (loader->anchor_count + 1) * sizeof *loader->anchors);
    loader->anchors[loader->anchor_count++] = (struct anchor){
        .name = mem_must_copy((const char *)name)};
    return loader->anchor_count;
}

static struct node *anchor_close(struct loader *loader, size_t anchor, struct node *node)
{
    if (anchor > 0)
        loader->anchors[anchor - 1].node = node;
    return node;
}

static struct node *alias_node(struct loader *loader, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    struct anchor *anchor = NULL;
    for (size_t i = loader->anchor_count; i > 0 && !anchor; i--)
        if (strcmp(loader->anchors[i - 1].name, name) == 0)
            anchor = &loader->anchors[i - 1];
    int line = mark_line(event->start_mark), column = mark_column(event->start_mark);
    if (!anchor || !anchor->node) {
        loader->failed = true;
        diag_add(loader->diag, line, column,
                 anchor ? "alias '*%.60s' stands inside what it names"
                        : "no anchor '&%.60s' before this",
                 name);
        return NULL;
    }
    loader->aliased += anchor->node->weight;
    if (loader->aliased > LOAD_ALIASED_MAX) {
        fail_at(loader, event->start_mark, "aliases expand to too much");
        return NULL;
    }
    return anchor->node;
}

/* ---- maps -------------------------------------------------------------------------------------
 */

struct entry {
    struct node *key, *item;
    size_t order;
    bool merged;
};

static int entry_by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    struct span s = x->key->text, t = y->key->text;
    size_t len = s.len < t.len ? s.len : t.len;
    int diff = len > 0 ? memcmp(s.ptr, t.ptr, len) : 0;
    if (diff != 0)
        return diff;
    if (s.len != t.len)
        return s.len < t.len ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static int entry_by_order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->order < y->order ? -1 : 1;
}

struct entries {
    struct entry *list;
    size_t count, room;
};

static void entries_add(struct entries *entries, struct node *key, struct node *item, bool merged)
{
    if (entries->count == entries->room) {
        entries->room = entries->room > 0 ? entries->room * 2 : 16;
        entries->list = mem_must_resize(entries->list, entries->room * sizeof *entries->list);
    }
    entries->list[entries->count] = (struct entry){key, item, entries->count, merged};
    entries->count++;
}

static void entries_merge(struct loader *loader, struct entries *entries, const struct node *from)
{
    if (from->kind == NODE_MAP) {
        for (size_t i = 0; i < from->count; i++)
            entries_add(entries, from->keys[i], from->items[i], true);
        return;
    }
    for (size_t i = 0; from->kind == NODE_LIST && i < from->count; i++) {
        if (from->items[i]->kind == NODE_MAP)
            entries_merge(loader, entries, from->items[i]);
        else
            diag_at(loader->diag, from->items[i], "'<<' merges mappings only");
    }
    if (from->kind == NODE_SCALAR)
        diag_at(loader->diag, from, "'<<' merges mappings only");
}

static bool is_merge_key(const struct node *key)
{
    return key->plain && span_eq(key->text, SPAN("<<"));
}

/* Own entries come before merged ones, so the first of equal keys is the one that counts. */
static void entries_unique(struct loader *loader, struct entries *entries)
{
    size_t kept = 0;
    qsort(entries->list, entries->count, sizeof *entries->list, entry_by_key);
    for (size_t i = 0; i < entries->count; i++) {
        struct entry *entry = &entries->list[i];
        const struct entry *first = kept > 0 ? &entries->list[kept - 1] : NULL;
        if (!first || !span_eq(first->key->text, entry->key->text))
            entries->list[kept++] = *entry;
        else if (!entry->merged)
            diag_at(loader->diag, entry->key, "duplicate key '%.*s', first given on line %d",
                    SPAN_ARG(diag_quote(entry->key->text)), first->key->line);
    }
    entries->count = kept;
    qsort(entries->list, entries->count, sizeof *entries->list, entry_by_order);
}

/* Does the merges of a map whose entries have been read, and takes second ones of a key out. */
static void map_finish(struct loader *loader, struct node *map)
{
    struct entries entries = {0};
    const struct node *merge = NULL;
    for (size_t i = 0; i < map->count; i++) {
        if (!is_merge_key(map->keys[i]))
            entries_add(&entries, map->keys[i], map->items[i], false);
        else if (merge)
            diag_at(loader->diag, map->keys[i], "duplicate key '<<'; merge a list: <<: [*a, *b]");
        else
            merge = map->items[i];
    }
    if (merge)
        entries_merge(loader, &entries, merge);
    if (entries.count > 1)
        entries_unique(loader, &entries);
    map->count = 0;
    map->weight = 1;
    free(map->keys);
    free(map->items);
    map->keys = map->items = NULL;
    for (size_t i = 0; i < entries.count; i++)
        node_append(map, entries.list[i].key, entries.list[i].item);
    free(entries.list);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static struct node *read_node(struct loader *loader, int depth);

static void refuse_tag(struct loader *loader, const yaml_char_t *tag, yaml_mark_t mark)
{
    if (tag)
        diag_add(loader->diag, mark_line(mark), mark_column(mark),
                 "YAML tags ('%.60s') have no meaning here", (const char *)tag);
}

static struct node *read_scalar(struct loader *loader, const yaml_event_t *event)
{
    size_t anchor = anchor_open(loader, event->data.scalar.anchor, event->start_mark);
    refuse_tag(loader, event->data.scalar.tag, event->start_mark);
    struct node *node = node_new(loader, NODE_SCALAR, event->start_mark);
    size_t len = event->data.scalar.length;
    char *text = mem_must_alloc(len + 1);
    memcpy(text, event->data.scalar.value, len);
    node->text = span_of(text, len);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return anchor_close(loader, anchor, node);
}

static struct node *read_list(struct loader *loader, const yaml_event_t *event, int depth)
{
    size_t anchor = anchor_open(loader, event->data.sequence_start.anchor, event->start_mark);
    refuse_tag(loader, event->data.sequence_start.tag, event->start_mark);
    struct node *list = node_new(loader, NODE_LIST, event->start_mark);
    for (;;) {
        struct node *item = read_node(loader, depth + 1);
        if (loader->failed)
            return NULL;
        if (!item)
            return anchor_close(loader, anchor, list);
        node_append(list, NULL, item);
    }
}

static struct node *read_map(struct loader *loader, const yaml_event_t *event, int depth)
{
    size_t anchor = anchor_open(loader, event->data.mapping_start.anchor, event->start_mark);
    refuse_tag(loader, event->data.mapping_start.tag, event->start_mark);
    struct node *map = node_new(loader, NODE_MAP, event->start_mark);
    for (;;) {
        struct node *key = read_node(loader, depth + 1);
        if (!key && !loader->failed)
            break;
        struct node *item = read_node(loader, depth + 1);
        if (loader->failed)
            return NULL;
        assert(key && item); // libyaml gives them in pairs.
        if (key->kind == NODE_SCALAR)
            node_append(map, key, item);
        else
            diag_at(loader->diag, key, "a key must be a word, not a list or a mapping");
    }
    map_finish(loader, map);
    return anchor_close(loader, anchor, map);
}

/* The next node; NULL at the end of the list or map that is being read, or when reading failed. */
static struct node *read_node(struct loader *loader, int depth)
{
    yaml_event_t event;
    if (!next_event(loader, &event))
        return NULL;
    struct node *node = NULL;
    bool collection = event.type == YAML_SEQUENCE_START_EVENT ||
                      event.type == YAML_MAPPING_START_EVENT;
    if (collection && depth > LOAD_DEPTH_MAX)
        fail_at(loader, event.start_mark, "nested deeper than 64 levels");
    else if (event.type == YAML_SCALAR_EVENT)
        node = read_scalar(loader, &event);
    else if (event.type == YAML_ALIAS_EVENT)
        node = alias_node(loader, &event);
    else if (event.type == YAML_SEQUENCE_START_EVENT)
        node = read_list(loader, &event, depth);
    else if (event.type == YAML_MAPPING_START_EVENT)
        node = read_map(loader, &event, depth);
    yaml_event_delete(&event);
    return node;
}

/* Takes the next event, which must be there; its type. YAML_NO_EVENT when reading failed. */
static yaml_event_type_t take_event(struct loader *loader, yaml_mark_t *mark)
{
    yaml_event_t event;
    if (!next_event(loader, &event))
        return YAML_NO_EVENT;
    yaml_event_type_t type = event.type;
    *mark = event.start_mark;
    yaml_event_delete(&event);
    return type;
}

static void read_stream(struct loader *loader)
{
    yaml_mark_t mark = {0};
    take_event(loader, &mark); /* the stream's start */
    yaml_event_type_t type = take_event(loader, &mark);
    if (type == YAML_STREAM_END_EVENT)
        diag_add(loader->diag, 1, 1, "the file is empty");
    if (type != YAML_DOCUMENT_START_EVENT)
        return;
    struct node *root = read_node(loader, 1);
    take_event(loader, &mark); /* the document's end */
    if (take_event(loader, &mark) == YAML_DOCUMENT_START_EVENT)
        fail_at(loader, mark, "a second YAML document; the file must hold one only");
    if (!loader->failed)
        loader->tree->root = root;
}

void tree_load(struct tree *tree, struct span text, struct diag *diag)
{
    *tree = (struct tree){0};
    struct loader loader = {.tree = tree, .diag = diag};
    if (!yaml_parser_initialize(&loader.parser)) {
        diag_add(diag, 0, 0, "out of memory");
        return;
    }
    yaml_parser_set_encoding(&loader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&loader.parser, (const unsigned char *)text.ptr, text.len);
    read_stream(&loader);
    yaml_parser_delete(&loader.parser);
    for (size_t i = 0; i < loader.anchor_count; i++)
        free(loader.anchors[i].name);
    free(loader.anchors);
}

void tree_free(struct tree *tree)
{
    struct node *next;
    for (struct node *node = tree->all; node; node = next) {
        next = node->next;
        free((char *)(uintptr_t)node->text.ptr);
        free(node->items);
        free(node->keys);
        free(node);
    }
    *tree = (struct tree){0};
}
