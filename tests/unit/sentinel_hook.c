// SPDX-License-Identifier: Apache-2.0
/* sentinel-watch/hook, exec and scribe with real programs, files and processes. */
#include "sentinel-watch/hook.h"

#include "base/clock.h"
#include "sentinel-watch/exec.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop loop;
static struct shelf *shelf;
static struct resolver *resolver;
static struct tally tally;
static struct world world;
static char dir[64];

static const struct failover failover = {
    .id = "m:1:7",
    .master = "m",
    .generation = 1,
    .epoch = 7,
    .old_place = {"10.0.0.1", 6379},
    .new_place = {"fe80::1", 6380},
    .run_id = "0123456789012345678901234567890123456789",
    .reason = "a \"test\"",
};

static int setup(void **state)
{
    (void)state;
    assert_true(loop_init(&loop, NULL));
    shelf = shelf_new();
    resolver = resolver_new();
    memset(&tally, 0, sizeof(tally));
    world = (struct world){&loop, shelf, resolver, "w1", &tally};
    strcpy(dir, "/tmp/limpet-hook-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    resolver_free(resolver);
    loop_fini(&loop);
    shelf_free(shelf);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
    return 0;
}

static const char *path(const char *name)
{
    static char paths[4][128];
    static int next;
    char *out = paths[next++ % 4];
    snprintf(out, sizeof(paths[0]), "%s/%s", dir, name);
    return out;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

/* "" when there is none. */
static const char *read_file(const char *name)
{
    static char text[8192];
    int fd = open(path(name), O_RDONLY);
    ssize_t len = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    text[len > 0 ? len : 0] = '\0';
    if (fd >= 0)
        close(fd);
    return text;
}

static void wait_for(enum tally_id id, int64_t wanted)
{
    int64_t give_up_ms = clock_mono_ms() + 20000;
    while (tally.value[id] != wanted) {
        if (clock_mono_ms() > give_up_ms)
            fail_msg("%d times, not %d", (int)tally.value[id], (int)wanted);
        loop_turn(&loop, 20);
    }
}

static void assert_holds(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in: %s", part, text);
}

/* ---- exec ---------------------------------------------------------------------------------- */

static void a_program_gets_the_event_on_its_input_and_in_variables(void **state)
{
    (void)state;
    write_file("hook",
               "#!/bin/sh\ncd \"${0%/*}\" && echo \"$# $1 $2\" >args && cat >input && env >env\n",
               0700);
    char *argv[] = {(char *)(uintptr_t)path("hook"), "a b; touch pwned", "$HOME"};
    struct exec *exec = exec_new(&world, EXEC_MS);
    exec_configure(exec, argv, 3);
    exec_run(exec, &failover, PHASE_SUB);
    wait_for(TALLY_EXEC_RUNS, 1);
    assert_string_equal(read_file("args"), "2 a b; touch pwned $HOME\n");
    const char *input = read_file("input");
    assert_holds(input, "{\"event\":\"failover\",\"phase\":\"sub\",\"id\":\"m:1:7\"");
    assert_holds(input, "\"reason\":\"a \\\"test\\\"\"}\n");
    const char *env = read_file("env");
    assert_holds(env, "LIMPET_PHASE=sub\n");
    assert_holds(env, "LIMPET_ID=m:1:7\n");
    assert_holds(env, "LIMPET_MASTER=m\n");
    assert_holds(env, "LIMPET_EPOCH=7\n");
    assert_holds(env, "LIMPET_OLD_HOST=10.0.0.1\n");
    assert_holds(env, "LIMPET_OLD_PORT=6379\n");
    assert_holds(env, "LIMPET_NEW_HOST=fe80::1\n");
    assert_holds(env, "LIMPET_NEW_PORT=6380\n");
    assert_holds(env, "LIMPET_RUN_ID=0123456789012345678901234567890123456789\n");
    assert_holds(env, "LIMPET_WATCHER=w1\n");
    assert_holds(env, "PATH=");
    exec_free(exec);
}

static void programs_run_one_after_the_other(void **state)
{
    (void)state;
    write_file("hook",
               "#!/bin/sh\ncd \"${0%/*}\"\nmkdir running || echo overlap >>log\nsleep 0.05\n"
               "echo $LIMPET_PHASE >>log\nrmdir running\n",
               0700);
    char *argv[] = {(char *)(uintptr_t)path("hook")};
    struct exec *exec = exec_new(&world, EXEC_MS);
    exec_configure(exec, argv, 1);
    exec_run(exec, &failover, PHASE_HOLD);
    exec_run(exec, &failover, PHASE_SUB);
    exec_run(exec, &failover, PHASE_PUB);
    wait_for(TALLY_EXEC_RUNS, 3);
    assert_string_equal(read_file("log"), "hold\nsub\npub\n");
    exec_free(exec);
}

static void a_program_that_takes_too_long_is_killed_with_its_children(void **state)
{
    (void)state;
    write_file("hook", "#!/bin/sh\nsleep 1000 & echo $! >\"${0%/*}/child\"; wait\n", 0700);
    char *argv[] = {(char *)(uintptr_t)path("hook")};
    struct exec *exec = exec_new(&world, 2000);
    exec_configure(exec, argv, 1);
    exec_run(exec, &failover, PHASE_SUB);
    wait_for(TALLY_EXEC_FAILED, 1);
    pid_t child = (pid_t)atoi(read_file("child"));
    assert_true(child > 1);
    int64_t give_up_ms = clock_mono_ms() + 20000;
    char stat[64];
    for (;;) { // Gone, or waiting for init to notice.
        snprintf(stat, sizeof(stat), "/proc/%d/stat", (int)child);
        FILE *file = fopen(stat, "r");
        char letter = 'X';
        if (file && fscanf(file, "%*d %*s %c", &letter) != 1)
            letter = 'X';
        if (file)
            fclose(file);
        if (letter == 'X' || letter == 'Z')
            break;
        assert_true(clock_mono_ms() < give_up_ms);
    }
    exec_free(exec);
}

static void programs_that_fail_are_counted(void **state)
{
    (void)state;
    write_file("fails", "#!/bin/sh\nexit 3\n", 0700);
    write_file("text", "no program\n", 0700);
    const char *const bad[] = {path("fails"), path("text"), path("nothing")};
    struct exec *exec = exec_new(&world, EXEC_MS);
    for (int i = 0; i < 3; i++) {
        char *argv[] = {(char *)(uintptr_t)bad[i]};
        exec_configure(exec, argv, 1);
        exec_run(exec, &failover, PHASE_SUB);
        wait_for(TALLY_EXEC_FAILED, i + 1);
    }
    exec_free(exec);
}

static void too_many_events_drop_the_oldest(void **state)
{
    (void)state;
    write_file("hook",
               "#!/bin/sh\ncd \"${0%/*}\"\nwhile [ ! -e go ]; do sleep 0.01; done\n"
               "echo $LIMPET_PHASE >>log\n",
               0700);
    char *argv[] = {(char *)(uintptr_t)path("hook")};
    struct exec *exec = exec_new(&world, EXEC_MS);
    exec_configure(exec, argv, 1);
    exec_run(exec, &failover, PHASE_FENCE); // Runs.
    exec_run(exec, &failover, PHASE_HOLD);
    for (int i = 0; i < EXEC_WAITING_MAX - 1; i++)
        exec_run(exec, &failover, PHASE_SUB);
    exec_run(exec, &failover, PHASE_PUB);
    assert_int_equal(tally.value[TALLY_EXEC_FAILED], 1);
    write_file("go", "", 0600);
    wait_for(TALLY_EXEC_RUNS, EXEC_WAITING_MAX + 1);
    const char *log = read_file("log");
    assert_null(strstr(log, "hold"));
    assert_holds(log, "fence\nsub\n");
    assert_holds(log, "sub\npub\n");
    exec_free(exec);
}

/* ---- files and signals --------------------------------------------------------------------- */

static struct config *config;

static struct hook *configured(const char *rows)
{
    char text[512];
    snprintf(text, sizeof(text), "sentinel:\n  master: m\n  sentinels: ['127.0.0.1:1']\n%s", rows);
    struct problems problems;
    config = config_load_sentinel_text("test", span_str(text), &problems);
    if (!config)
        fail_msg("%s", problems.list[0].message);
    problems_free(&problems);
    struct hook *hook = hook_new(&world);
    hook_configure(hook, &config->sentinels[0]);
    return hook;
}

static void files_are_replaced_whole(void **state)
{
    (void)state;
    char rows[128];
    snprintf(rows, sizeof(rows), "  file: %s\n", path("event"));
    struct hook *hook = configured(rows);
    hook_lead(hook, &failover, false);
    wait_for(TALLY_FILE_RUNS, 2);
    assert_string_equal(read_file("event.addr"), "[fe80::1]:6380\n");
    assert_holds(read_file("event"), "\"phase\":\"calm\"");
    struct stat before, after;
    assert_int_equal(stat(path("event"), &before), 0);
    assert_int_equal(before.st_mode & 0777, 0644);
    hook_phase(hook, &failover, PHASE_PUB);
    wait_for(TALLY_FILE_RUNS, 3);
    assert_holds(read_file("event"), "\"phase\":\"pub\"");
    assert_int_equal(stat(path("event"), &after), 0);
    assert_true(before.st_ino != after.st_ino);
    // Of many at once, the last one stays.
    for (int i = 0; i < 50; i++)
        hook_phase(hook, &failover, i == 49 ? PHASE_CANCEL : PHASE_HOLD);
    int64_t give_up_ms = clock_mono_ms() + 20000;
    while (!strstr(read_file("event"), "cancel") && clock_mono_ms() < give_up_ms)
        loop_turn(&loop, 10);
    assert_holds(read_file("event"), "\"phase\":\"cancel\"");
    char command[128];
    snprintf(command, sizeof(command), "test \"$(ls %s | wc -l)\" = 2", dir);
    assert_int_equal(system(command), 0); // Nothing is left lying about.
    hook_free(hook);
    config_free(config);
}

static void a_file_that_cannot_be_written_is_counted(void **state)
{
    (void)state;
    char rows[128];
    snprintf(rows, sizeof(rows), "  file: %s\n", path("no/such/folder"));
    struct hook *hook = configured(rows);
    hook_lead(hook, &failover, true);
    wait_for(TALLY_FILE_FAILED, 1);
    hook_free(hook);
    config_free(config);
}

static pid_t start_sleeper(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execl("/bin/sleep", "sleep", "1000", NULL);
        _exit(127);
    }
    return pid;
}

static void a_process_is_told_when_the_file_is_written(void **state)
{
    (void)state;
    char rows[256], text[32];
    pid_t pid = start_sleeper();
    snprintf(text, sizeof(text), " %d\nmore\n", (int)pid);
    write_file("pid", text, 0600);
    snprintf(rows, sizeof(rows), "  file: %s\n  signal: {pid_file: %s}\n", path("event"),
             path("pid"));
    struct hook *hook = configured(rows);
    hook_lead(hook, &failover, false);
    wait_for(TALLY_FILE_RUNS, 2);
    assert_int_equal(tally.value[TALLY_SIGNAL_RUNS], 0); // It was there all the time.
    unlink(path("event.addr"));
    hook_lead(hook, &failover, true);
    wait_for(TALLY_SIGNAL_RUNS, 1);
    assert_string_equal(read_file("event.addr"), "[fe80::1]:6380\n");
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2);
    hook_free(hook);
    config_free(config);
}

static void pid_files_are_not_trusted(void **state)
{
    (void)state;
    char rows[256], own[32];
    snprintf(own, sizeof(own), "%d\n", (int)getpid());
    snprintf(rows, sizeof(rows), "  signal: {pid_file: %s}\n", path("pid"));
    const char *const bad[] = {"", "-1\n", "0\n", "1\n", "x\n", "99999999999\n", "12 34\n", own};
    struct hook *hook = configured(rows);
    for (size_t i = 0; i < array_len(bad); i++) {
        write_file("pid", bad[i], 0600);
        hook_lead(hook, &failover, true);
        assert_int_equal(tally.value[TALLY_SIGNAL_FAILED], i + 1);
    }
    unlink(path("pid"));
    assert_int_equal(mkfifo(path("pid"), 0600), 0);
    hook_lead(hook, &failover, true);
    assert_int_equal(tally.value[TALLY_SIGNAL_FAILED], array_len(bad) + 1);
    hook_free(hook);
    config_free(config);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_program_gets_the_event_on_its_input_and_in_variables),
        TEST(programs_run_one_after_the_other),
        TEST(a_program_that_takes_too_long_is_killed_with_its_children),
        TEST(programs_that_fail_are_counted),
        TEST(too_many_events_drop_the_oldest),
        TEST(files_are_replaced_whole),
        TEST(a_file_that_cannot_be_written_is_counted),
        TEST(a_process_is_told_when_the_file_is_written),
        TEST(pid_files_are_not_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
