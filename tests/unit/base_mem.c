// SPDX-License-Identifier: Apache-2.0
/* Pools: what they keep, what they give back, and lists, whose nodes their objects carry. */
#include "base/mem.h"

#include "base/list.h"
#include "base/pool.h"
#include "base/sanitizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_pool_lends_zeroed_objects(void **state)
{
    (void)state;
    struct pool pool;
    pool_init(&pool, 100);
    static const char zeros[100];
    for (int i = 0; i < 3; i++) {
        char *object = pool_lend(&pool);
        assert_memory_equal(object, zeros, sizeof(zeros));
        memset(object, 'x', 100);
        pool_give_back(&pool, object);
    }
    assert_int_equal(pool.grown, ADDRESS_SANITIZER ? 3 : 1);
    assert_int_equal(pool.lent, 0);
    pool_fini(&pool);
}

static void a_pool_gives_back_what_is_empty(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct pool pool;
    pool_init(&pool, 100);
    static unsigned char *objects[COUNT];
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            objects[i] = pool_lend(&pool);
            assert_int_equal(objects[i][0] | objects[i][99], 0);
            assert_int_equal((uintptr_t)objects[i] % sizeof(void *), 0);
            memset(objects[i], (int)(i % 251) + 1, 100);
        }
        for (size_t i = 0; i < COUNT; i++) { /* nobody else wrote there */
            assert_int_equal(objects[i][0], i % 251 + 1);
            assert_int_equal(objects[i][99], i % 251 + 1);
        }
        if (!ADDRESS_SANITIZER)
            assert_int_equal(pool.grown, 8); /* slabs of 64 KiB, also in the second round */
        for (size_t i = 0; i < COUNT; i += 2)
            pool_give_back(&pool, objects[i]);
        pool_trim(&pool);
        assert_int_equal(pool.empty, 0); /* none is, and none goes */
        for (size_t i = 1; i < COUNT; i += 2)
            pool_give_back(&pool, objects[i]);
        assert_int_equal(pool.lent, 0);
        assert_int_equal(pool.empty, ADDRESS_SANITIZER ? 0 : 8);
    }
    pool_trim(&pool);
    assert_int_equal(pool.empty, ADDRESS_SANITIZER ? 0 : 4);
    void *one = pool_lend(&pool);
    for (int i = 0; i < 4; i++)
        pool_trim(&pool);
    assert_int_equal(pool.empty, 0);
    pool_give_back(&pool, one);
    assert_int_equal(pool.empty, ADDRESS_SANITIZER ? 0 : 1);
    pool_fini(&pool);
}

static void must_functions_zero_and_copy(void **state)
{
    (void)state;
    char *copy = mem_must_copy("hello");
    assert_string_equal(copy, "hello");
    copy = mem_must_resize(copy, 100);
    assert_string_equal(copy, "hello");
    free(copy);
    int *zero = mem_must_alloc(sizeof(*zero));
    assert_int_equal(*zero, 0);
    free(zero);
    free(mem_must_alloc(0));
}

struct item {
    int number;
    struct list node;
};

static int first_number(struct list *head)
{
    return container_of(list_first(head), struct item, node)->number;
}

static void lists_keep_their_order(void **state)
{
    (void)state;
    struct list head, other;
    list_init(&head);
    list_init(&other);
    assert_null(list_first(&head));
    struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    list_push_back(&head, &items[1].node);
    list_push_back(&head, &items[2].node);
    list_push_front(&head, &items[0].node);
    list_push_back(&other, &items[3].node);
    list_append_all(&head, &other);
    assert_true(list_empty(&other));
    list_append_all(&head, &other);
    int expected = 0;
    list_each(node, &head)
        assert_int_equal(container_of(node, struct item, node)->number, expected++);
    assert_int_equal(expected, 4);
    list_remove(&items[0].node);
    list_remove(&items[0].node);
    assert_true(list_single(&items[0].node));
    assert_int_equal(first_number(&head), 1);
    list_each_safe(node, &head) list_remove(node);
    assert_true(list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_lends_zeroed_objects),
        cmocka_unit_test(a_pool_gives_back_what_is_empty),
        cmocka_unit_test(must_functions_zero_and_copy),
        cmocka_unit_test(lists_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
