/* One attempt at the kernel for each name: prints "refused" with the error, or what came of it. Linked statically, so
   that nothing of the sandbox's own libraries stands in its way. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char buffer[4096];
static struct iovec vector = {buffer, sizeof buffer};

static long netlink(int kind) { return socket(AF_NETLINK, SOCK_RAW, kind); }

static long opened(const char *path, int flags) { return open(path, flags); }

static long written(const char *path, const char *text) {
    int descriptor = open(path, O_WRONLY);
    return descriptor < 0 ? -1 : write(descriptor, text, strlen(text));
}

static long new_clone(unsigned long flags) {
    long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) _exit(0);
    return pid;
}

static long new_clone3(unsigned long flags) {
    struct clone_args arguments = {.flags = flags, .exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) _exit(0);
    return pid;
}

static long joined(const char *path, int flags) {
    int descriptor = open(path, O_RDONLY);
    return descriptor < 0 ? -1 : syscall(SYS_setns, descriptor, flags);
}

static long hard_linked(const char *path) { return link(path, "/tmp/linked"); }

static long made_device(mode_t kind, int major, int minor) {
    return mknod("/tmp/device", kind | 0666, (dev_t)(major << 8 | minor));
}

static long int80(void) {
#ifdef __x86_64__
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory"); /* getpid of i386 */
    return result;
#else
    errno = ENOSYS;
    return -1;
#endif
}

static long root_by_setuid(void) {
    if (setuid(0) == 0 && getuid() == 0) return 0;
    return -1;
}

static long capability_raised(void) {
    unsigned header[2] = {0x20080522, 0}, data[6] = {0x200000, 0x200000, 0, 0, 0, 0};
    return syscall(SYS_capset, header, data);
}

static long filter_removed(void) { return prctl(PR_SET_SECCOMP, 0, 0, 0, 0); }

static long new_privileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0); }

static long limit_raised(void) {
    struct rlimit limit = {1 << 20, 1 << 20};
    return setrlimit(RLIMIT_NOFILE, &limit);
}

static long bound_to_device(void) { /* the way around a missing route */
    int descriptor = socket(AF_INET, SOCK_RAW, 255);
    return descriptor;
}

#define ATTACK(name, call) if (!strcmp(argument, name)) return (call);
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif

static long attempt(const char *argument) {
    ATTACK("mount", syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, 0))
    ATTACK("bind", syscall(SYS_mount, "/proc", "/tmp", 0, 4096, 0))
    ATTACK("remount", syscall(SYS_mount, "none", "/", 0, 32 | 4096, 0))
    ATTACK("umount", syscall(SYS_umount2, "/proc", 2))
    ATTACK("pivot_root", syscall(SYS_pivot_root, "/tmp", "/tmp"))
    ATTACK("chroot", chroot("/tmp"))
    ATTACK("open_tree", syscall(428, AT_FDCWD, "/", 1))
    ATTACK("move_mount", syscall(429, AT_FDCWD, "/usr", AT_FDCWD, "/tmp", 0))
    ATTACK("fsopen", syscall(430, "tmpfs", 0))
    ATTACK("fspick", syscall(433, AT_FDCWD, "/", 0))
    ATTACK("mount_setattr", syscall(442, AT_FDCWD, "/", 0, buffer, 32))
    ATTACK("unshare_user", syscall(SYS_unshare, CLONE_NEWUSER))
    ATTACK("unshare_mount", syscall(SYS_unshare, CLONE_NEWNS))
    ATTACK("unshare_net", syscall(SYS_unshare, CLONE_NEWNET))
    ATTACK("unshare_pid", syscall(SYS_unshare, CLONE_NEWPID))
    ATTACK("unshare_ipc", syscall(SYS_unshare, CLONE_NEWIPC))
    ATTACK("unshare_uts", syscall(SYS_unshare, CLONE_NEWUTS))
    ATTACK("unshare_cgroup", syscall(SYS_unshare, CLONE_NEWCGROUP))
    ATTACK("unshare_time", syscall(SYS_unshare, 0x80))
    ATTACK("clone_user", new_clone(CLONE_NEWUSER))
    ATTACK("clone_mount", new_clone(CLONE_NEWNS))
    ATTACK("clone_net", new_clone(CLONE_NEWNET))
    ATTACK("clone_pid", new_clone(CLONE_NEWPID))
    ATTACK("clone_high_bits", new_clone(0x100000000UL | CLONE_NEWUSER))
    ATTACK("clone3_user", new_clone3(CLONE_NEWUSER))
    ATTACK("clone3_cgroup", new_clone3(0x200000000ULL))
    ATTACK("setns_pid1", joined("/proc/1/ns/net", 0))
    ATTACK("setns_own", joined("/proc/self/ns/mnt", 0))
    ATTACK("ptrace_traceme", syscall(SYS_ptrace, 0, 0, 0, 0))
    ATTACK("ptrace_pid1", syscall(SYS_ptrace, 16, 1, 0, 0))
    ATTACK("process_vm_readv", syscall(SYS_process_vm_readv, 1, &vector, 1, &vector, 1, 0))
    ATTACK("process_vm_writev", syscall(SYS_process_vm_writev, 1, &vector, 1, &vector, 1, 0))
    ATTACK("kcmp", syscall(SYS_kcmp, 1, getpid(), 0, 0, 0))
    ATTACK("pidfd_getfd", syscall(438, syscall(434, getpid(), 0), 0, 0))
    ATTACK("bpf", syscall(SYS_bpf, 0, buffer, 128))
    ATTACK("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3))
    ATTACK("request_key", syscall(SYS_request_key, "user", "x", 0, -3))
    ATTACK("keyctl", syscall(SYS_keyctl, 0, -3, 1))
    ATTACK("io_uring", syscall(SYS_io_uring_setup, 8, buffer))
    ATTACK("userfaultfd", syscall(SYS_userfaultfd, 0))
    ATTACK("perf_event_open", syscall(SYS_perf_event_open, buffer, 0, -1, -1, 0))
    ATTACK("init_module", syscall(SYS_init_module, buffer, 8, ""))
    ATTACK("finit_module", syscall(SYS_finit_module, 0, "", 0))
    ATTACK("delete_module", syscall(SYS_delete_module, "ext4", 0))
    ATTACK("kexec", syscall(SYS_kexec_load, 0, 0, 0, 0))
    ATTACK("kexec_file", syscall(320, 0, 0, 0, 0, 0))
    ATTACK("name_to_handle", syscall(SYS_name_to_handle_at, AT_FDCWD, "/", buffer, buffer + 512, 0))
    ATTACK("open_by_handle", syscall(SYS_open_by_handle_at, AT_FDCWD, buffer, 0))
    ATTACK("swapon", syscall(SYS_swapon, "/tmp/x", 0))
    ATTACK("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0))
    ATTACK("sethostname", syscall(SYS_sethostname, "x", 1))
    ATTACK("setdomainname", syscall(SYS_setdomainname, "x", 1))
    ATTACK("settimeofday", syscall(SYS_settimeofday, buffer, 0))
    ATTACK("clock_settime", syscall(SYS_clock_settime, 0, buffer))
    ATTACK("adjtimex", syscall(SYS_adjtimex, buffer))
    ATTACK("syslog", syscall(SYS_syslog, 3, buffer, sizeof buffer))
    ATTACK("acct", syscall(SYS_acct, 0))
    ATTACK("quotactl", syscall(SYS_quotactl, 0x800007 << 8, "/tmp", 0, buffer))
    ATTACK("fanotify", syscall(SYS_fanotify_init, 0, 0))
    ATTACK("vhangup", syscall(SYS_vhangup))
    ATTACK("lookup_dcookie", syscall(SYS_lookup_dcookie, 0, buffer, 8))
    ATTACK("landlock_and_lsm", syscall(461, 0, buffer, buffer, 0))
    ATTACK("personality", syscall(SYS_personality, 0x0040000))
    ATTACK("tiocsti", ioctl(0, 0x5412, "x"))
    ATTACK("tioclinux", ioctl(0, 0x541c, buffer))
    ATTACK("tiocsti_high_bits", syscall(SYS_ioctl, 0, 0x100005412UL, "x"))
#ifdef __x86_64__
    ATTACK("iopl", syscall(SYS_iopl, 3))
    ATTACK("ioperm", syscall(SYS_ioperm, 0, 8, 1))
    ATTACK("modify_ldt", syscall(SYS_modify_ldt, 0, buffer, 16))
    ATTACK("x32", syscall(0x40000000 | 39))
    ATTACK("vm86", syscall(SYS_uselib, "/usr/bin/id"))
#endif
    ATTACK("int80", int80())
    ATTACK("raw_socket", socket(AF_INET, SOCK_RAW, 1))
    ATTACK("raw_with_flags", socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1))
    ATTACK("raw_ipv6", socket(AF_INET6, SOCK_RAW, 58))
    ATTACK("any_protocol", bound_to_device())
    ATTACK("packet_socket", socket(AF_PACKET, SOCK_DGRAM, 0))
    ATTACK("vsock", socket(40, SOCK_STREAM, 0))
    ATTACK("alg", socket(38, SOCK_SEQPACKET, 0))
    ATTACK("bluetooth", socket(31, SOCK_RAW, 0))
    ATTACK("can", socket(29, SOCK_RAW, 1))
    ATTACK("tipc", socket(30, SOCK_DGRAM, 0))
    ATTACK("xdp", socket(44, SOCK_RAW, 0))
    ATTACK("netfilter", netlink(12))
    ATTACK("audit", netlink(9))
    ATTACK("kobject", netlink(15))
    ATTACK("generic", netlink(16))
    ATTACK("xfrm", netlink(6))
    ATTACK("sock_diag", netlink(4))
    ATTACK("connector", netlink(11))
    ATTACK("vsock_pair", socketpair(AF_INET, SOCK_STREAM, 0, (int *)buffer))
    ATTACK("block_device", made_device(S_IFBLK, 8, 0))
    ATTACK("memory_device", made_device(S_IFCHR, 1, 1))
    ATTACK("own_null", made_device(S_IFCHR, 1, 3))
    ATTACK("dev_mem", opened("/dev/mem", O_RDWR))
    ATTACK("dev_kmsg", opened("/dev/kmsg", O_RDWR))
    ATTACK("dev_kvm", opened("/dev/kvm", O_RDWR))
    ATTACK("dev_fuse", opened("/dev/fuse", O_RDWR))
    ATTACK("dev_tun", opened("/dev/net/tun", O_RDWR))
    ATTACK("dev_loop", opened("/dev/loop-control", O_RDWR))
    ATTACK("sysrq", opened("/proc/sysrq-trigger", O_RDONLY) < 0 ? -1 : (read(3, buffer, 1) == 0 ? (errno = ENOENT, -1) : 0))
    ATTACK("core_pattern", written("/proc/sys/kernel/core_pattern", "|/tmp/x"))
    ATTACK("modprobe", written("/proc/sys/kernel/modprobe", "/tmp/x"))
    ATTACK("ip_forward", written("/proc/sys/net/ipv4/ip_forward", "1"))
    ATTACK("user_namespaces", written("/proc/sys/user/max_user_namespaces", "100"))
    ATTACK("uid_map", written("/proc/self/uid_map", "0 0 1"))
    ATTACK("setgroups_allow", written("/proc/self/setgroups", "allow"))
    ATTACK("oom_shield", written("/proc/self/oom_score_adj", "-1000"))
    ATTACK("sys", opened("/sys/kernel", O_RDONLY))
    ATTACK("cgroup", opened("/sys/fs/cgroup", O_RDONLY))
    ATTACK("kcore", opened("/proc/kcore", O_RDONLY) < 0 ? -1 : (read(3, buffer, 1) == 0 ? (errno = ENOENT, -1) : 0))
    ATTACK("shadow_by_root", opened("/proc/1/root/etc/shadow", O_RDONLY))
    ATTACK("shadow_by_cwd", opened("/proc/self/cwd/../../../../../../etc/shadow", O_RDONLY))
    ATTACK("hard_link", hard_linked("/etc/passwd"))
    ATTACK("hard_link_setuid", hard_linked("/usr/bin/su"))
    ATTACK("write_usr", opened("/usr/bin/id", O_WRONLY))
    ATTACK("write_code", open("/var/task/x", O_WRONLY | O_CREAT, 0666))
    ATTACK("write_runtime", open("/var/x", O_WRONLY | O_CREAT, 0666))
    ATTACK("write_hosts", opened("/etc/hosts", O_WRONLY))
    ATTACK("write_root", open("/x", O_WRONLY | O_CREAT, 0666))
    ATTACK("root_by_setuid", root_by_setuid())
    ATTACK("capability_raised", capability_raised())
    ATTACK("filter_removed", filter_removed())
    ATTACK("new_privileges", new_privileges())
    ATTACK("limit_raised", limit_raised())
    ATTACK("realtime", syscall(SYS_sched_setscheduler, 0, 1, &(struct sched_param){50}))
    ATTACK("nice", setpriority(PRIO_PROCESS, 0, -10))
    ATTACK("kill_host", kill(2, 0) == 0 && getpid() != 2 ? (errno = EPERM, -1) : (errno = ESRCH, -1))
    ATTACK("immutable", ioctl(open("/tmp", O_RDONLY), 0x40086602, buffer))
    fprintf(stderr, "no attack %s\n", argument);
    exit(2);
}

int main(int count, char **arguments) {
    for (int index = 1; index < count; index++) {
        errno = 0;
        long result = attempt(arguments[index]);
        if (result < 0) printf("%s refused %d\n", arguments[index], errno);
        else printf("%s done %ld\n", arguments[index], result);
        fflush(stdout);
    }
    return 0;
}
