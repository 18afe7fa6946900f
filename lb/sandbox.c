// SPDX-License-Identifier: Apache-2.0
/*
 * The sandbox of the serving process. The master does what it may not: binds, reads keys, executes
 * upgrades; everything else comes to it as descriptors (lb/parcel).
 *
 *   capabilities   none (who was root has lost them with setuid already)
 *   Landlock       no file may be executed, written, made or removed; but the access log may be
 *                  opened anew in its directory
 *   seccomp        calls on a list answer EPERM, and a line on stderr says so
 *
 * The list names what code that took over the process would want: other programs, other processes,
 * other namespaces, the kernel. It is not a list of what is allowed, because that would be the list of
 * what this libc, and the name service modules that it loads, happen to use: a reason to turn the
 * sandbox off. Calls newer than the list answer ENOSYS, as on an older kernel, for which libraries are
 * prepared; so does clone3, whose arguments a filter cannot see.
 *
 * A refused call raises SIGSYS, whose handler writes the line; threads leave that signal unblocked.
 * Reading files stays possible, for resolv.conf and certificates of the system; the identity decides.
 */
#include "lb/sandbox.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED                                                                                  \
    0 /* sanitizers trace this process and execute programs to explain what they found */
#endif

/* ---- memory ---- */

void sandbox_hide_memory(const struct config *config)
{
    if (config->process.sandbox && !SANITIZED)
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* ---- capabilities ---- */

/* Keeps of the process's capabilities those in `keep` (of the first 32). */
static void capabilities_reduce(uint32_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0)
        return;
    bool any = data[0].permitted & ~keep || data[1].permitted;
    data[0].permitted &= keep;
    data[0].effective &= keep;
    data[0].inheritable &= keep;
    data[1] = (struct __user_cap_data_struct){0};
    if (keep == 0)
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, data) < 0 && any)
        log_warning("capabilities cannot be dropped reason=\"%s\"", strerror(errno));
}

void sandbox_master(const struct config *config)
{
    if (config->process.sandbox && geteuid() != 0)
        capabilities_reduce(UINT32_C(1) << CAP_NET_BIND_SERVICE);
}

/* ---- Landlock ---- */

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

static const uint64_t log_rights = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG;

/* All but reading, as far as this version of Landlock knows them. */
static uint64_t handled_rights(long version)
{
    uint64_t rights = log_rights | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                      LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                      LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                      LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                      LANDLOCK_ACCESS_FS_MAKE_SYM;
    if (version >= 2)
        rights |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
    return rights;
}

/* The access log may be opened anew where it is. False: errno. */
static bool allow_log(int rules, const char *path)
{
    char directory[PATH_MAX]; /* with its slash; there is one, config/check.c sees to that */
    size_t len = (size_t)(strrchr(path, '/') - path) + 1;
    if (len >= sizeof directory) {
        errno = ENAMETOOLONG;
        return false;
    }
    span_to_str(span_of(path, len), directory, sizeof directory);
    struct landlock_path_beneath_attr beneath = {
        .allowed_access = log_rights,
        .parent_fd = open(directory, O_PATH | O_CLOEXEC | O_DIRECTORY),
    };
    if (beneath.parent_fd < 0)
        return false;
    long done = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    int error = errno;
    close(beneath.parent_fd);
    errno = error;
    return done == 0;
}

static bool is_file(const struct log_options *log)
{
    struct span to = span_str(log->access_to);
    return log->access_format != ACCESS_OFF && !span_eq(to, SPAN("stderr")) &&
           !span_starts(to, SPAN("syslog:"));
}

/* False: errno. */
static bool landlock_enter(const struct config *config)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return false;
    struct landlock_ruleset_attr attr = {.handled_access_fs = handled_rights(version)};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (rules < 0)
        return false;
    bool done = (!is_file(&config->log) || allow_log(rules, config->log.access_to)) &&
                syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    int error = errno;
    close(rules);
    errno = error;
    return done;
}

/* ---- seccomp ---- */

#if defined(__x86_64__)
#define ARCHITECTURE    AUDIT_ARCH_X86_64
#define RESULT(context) (context)->uc_mcontext.gregs[REG_RAX]
#elif defined(__aarch64__)
#define ARCHITECTURE    AUDIT_ARCH_AARCH64
#define RESULT(context) (context)->uc_mcontext.regs[0]
#endif

#ifdef ARCHITECTURE

enum { LAST_CALL = 462 /* mseal, of Linux 6.10 */, FILTER_MAX = 256 };

#define CALL(name)                                                                                 \
    {                                                                                              \
        SYS_##name, #name                                                                          \
    }
static const struct {
    int number;
    const char *name;
} refused_calls[] = {
    /* other programs and processes */
    CALL(execve),
    CALL(execveat),
    CALL(kill),
    CALL(ptrace),
    CALL(process_vm_readv),
    CALL(process_vm_writev),
    CALL(process_madvise),
    CALL(kcmp),
    CALL(pidfd_open),
    CALL(pidfd_getfd),
    CALL(pidfd_send_signal),
    CALL(personality),
    CALL(userfaultfd),
    CALL(rt_sigqueueinfo),
    CALL(rt_tgsigqueueinfo),
#ifdef SYS_fork
    CALL(fork),
    CALL(vfork),
    CALL(uselib),
    CALL(modify_ldt),
    CALL(iopl),
    CALL(ioperm),
#endif
    /* other identities, roots and namespaces */
    CALL(setuid),
    CALL(setgid),
    CALL(setreuid),
    CALL(setregid),
    CALL(setresuid),
    CALL(setresgid),
    CALL(setfsuid),
    CALL(setfsgid),
    CALL(setgroups),
    CALL(capset),
    CALL(chroot),
    CALL(pivot_root),
    CALL(setns),
    CALL(unshare),
    CALL(mount),
    CALL(umount2),
    CALL(open_tree),
    CALL(move_mount),
    CALL(fsopen),
    CALL(fsconfig),
    CALL(fsmount),
    CALL(fspick),
    CALL(mount_setattr),
    CALL(name_to_handle_at),
    CALL(open_by_handle_at),
    CALL(fanotify_init),
    CALL(quotactl),
    CALL(acct),
    CALL(swapon),
    CALL(swapoff),
    CALL(sethostname),
    CALL(setdomainname),
    /* the kernel itself */
    CALL(bpf),
    CALL(perf_event_open),
    CALL(io_uring_setup), /* what was set up before may be entered: base/ring.c restricts it */
    CALL(io_uring_register),
    CALL(add_key),
    CALL(request_key),
    CALL(keyctl),
    CALL(init_module),
    CALL(finit_module),
    CALL(delete_module),
    CALL(kexec_load),
    CALL(kexec_file_load),
    CALL(reboot),
    CALL(syslog),
    CALL(settimeofday),
    CALL(clock_settime),
    CALL(adjtimex),
    CALL(clock_adjtime),
    CALL(vhangup),
};

static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK /* getaddrinfo */};

struct program {
    struct sock_filter code[FILTER_MAX];
    unsigned short len;
};

static void add(struct program *program, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
    program->code[program->len++] = (struct sock_filter){code, yes, no, k};
}

static void load(struct program *program, size_t offset)
{
    add(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* When what was loaded is k, that is the verdict. */
static void when(struct program *program, uint32_t k, uint32_t verdict)
{
    add(program, BPF_JMP | BPF_JEQ | BPF_K, k, 0, 1);
    add(program, BPF_RET | BPF_K, verdict, 0, 0);
}

#define ERRNO(error) (SECCOMP_RET_ERRNO | (error))

/* The kernel finds out once which calls pass whatever their arguments, and does not ask again. */
static void write_program(struct program *program)
{
    const size_t argument = offsetof(struct seccomp_data, args[0]); /* its lower half: little end */
    const size_t number = sizeof refused_calls / sizeof refused_calls[0];
    program->len = 0;
    load(program, offsetof(struct seccomp_data, arch));
    add(program, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    add(program, BPF_RET | BPF_K, ERRNO(ENOSYS), 0, 0);
    load(program, offsetof(struct seccomp_data, nr));
    add(program, BPF_JMP | BPF_JGT | BPF_K, LAST_CALL, 0, 1);
    add(program, BPF_RET | BPF_K, ERRNO(ENOSYS), 0, 0);
    when(program, SYS_clone3, ERRNO(ENOSYS));
    for (size_t i = 0; i < number; i++)
        when(program, (uint32_t)refused_calls[i].number, SECCOMP_RET_TRAP);

    add(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4); // Threads, but no processes.
    load(program, argument);
    add(program, BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1);
    add(program, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    add(program, BPF_RET | BPF_K, SECCOMP_RET_TRAP, 0, 0);

    add(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0);
    add(program, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    load(program, argument);
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        when(program, (uint32_t)families[i], SECCOMP_RET_ALLOW);
    add(program, BPF_RET | BPF_K, SECCOMP_RET_TRAP, 0, 0);
}

static const char *call_name(int number)
{
    for (size_t i = 0; i < sizeof refused_calls / sizeof refused_calls[0]; i++) {
        if (refused_calls[i].number == number)
            return refused_calls[i].name;
    }
    return number == SYS_clone ? "clone" : number == SYS_socket ? "socket" : "?";
}

/* In the thread that made the call, in place of the call: no lock of ours is needed, none is taken. */
static void on_refused(int signal, siginfo_t *info, void *context)
{
    enum { LINES_MAX = 100 };
    static _Atomic int lines;
    char text[128];
    (void)signal;
    RESULT((ucontext_t *)context) = -EPERM;
    if (lines++ >= LINES_MAX)
        return;
    int n = snprintf(text, sizeof text,
                     "limpet: the sandbox refused a system call name=%s number=%d\n",
                     call_name(info->si_syscall), info->si_syscall);
    ssize_t written = write(STDERR_FILENO, text, (size_t)n);
    (void)written;
}

/* False: errno. */
static bool seccomp_enter(void)
{
    static struct program program;
    struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO};
    if (sigaction(SIGSYS, &action, NULL) < 0)
        return false;
    write_program(&program);
    struct sock_fprog filter = {.len = program.len, .filter = program.code};
    // Without this flag older kernels slow down every branch, for code that we do not run.
    unsigned flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter) == 0 ||
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
}

#else

static bool seccomp_enter(void)
{
    errno = ENOTSUP;
    return false;
}

#endif

/* ---- all ---- */

void sandbox_enter(const struct config *config, bool alone)
{
    if (!config->process.sandbox)
        return;
    if (SANITIZED || alone) {
        log_info("the sandbox is off reason=\"%s\"",
                 SANITIZED ? "this is a build with sanitizers"
                           : "process.master is false: one process does everything");
        return;
    }
    sandbox_hide_memory(config); // Changing the identity has undone it.
    if (geteuid() != 0)
        capabilities_reduce(0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!landlock_enter(config))
        log_info("the sandbox does without Landlock reason=\"%s\"", strerror(errno));
    if (!seccomp_enter())
        log_info("the sandbox does without seccomp reason=\"%s\"", strerror(errno));
}
