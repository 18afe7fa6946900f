// SPDX-License-Identifier: Apache-2.0
/* Intrusive doubly linked list, circular, with a head of the node's own type. */
#ifndef LIMPET_BASE_LIST_H
#define LIMPET_BASE_LIST_H

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

/* Is this node on a list? True only after list_init or list_remove made it single. */
static inline bool list_single(const struct list *node)
{
    return node->next == node;
}

static inline void list_insert_after(struct list *at, struct list *node)
{
    node->next = at->next;
    node->prev = at;
    at->next->prev = node;
    at->next = node;
}

static inline void list_push_front(struct list *head, struct list *node)
{
    list_insert_after(head, node);
}

static inline void list_push_back(struct list *head, struct list *node)
{
    list_insert_after(head->prev, node);
}

/* Takes the node off; it is single afterwards, and removing it again is harmless. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, or NULL. */
static inline struct list *list_first(struct list *head)
{
    return list_empty(head) ? NULL : head->next;
}

/* Moves all nodes of `from` to the end of `to`; `from` is empty afterwards. */
static inline void list_append_all(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    list_init(from);
}

#define list_each(node, head)                                                                      \
    for (struct list *node = (head)->next; node != (head); node = node->next)
/* The body may remove `node`, and nothing else. */
#define list_each_safe(node, head)                                                                 \
    for (struct list *node = (head)->next, *node##_next = node->next; node != (head);              \
         node = node##_next, node##_next = node->next)

#endif
