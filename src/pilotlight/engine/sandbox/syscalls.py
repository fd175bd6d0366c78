"""The system calls a function may make, and why each is there.

Whatever is not listed answers `ENOSYS`, as on a kernel that does not have it: programs then fall back, or
say so. The list is an ordinary program's: no mounts, namespaces, keys, BPF, io_uring, userfaultfd,
perf events, ptrace, kernel modules or clocks. A breakout would have to go through what stands here.

Each entry is a reason and `name:number on x86_64:number on aarch64`; `-` where there is no such call.
"""

from __future__ import annotations

ALLOWED: tuple[tuple[str, str], ...] = (
    # Files and directories
    (
        "bytes of files",
        "read:0:63 write:1:64 open:2:- openat:257:56 openat2:437:437 close:3:57 lseek:8:62 pread64:17:67 "
        "pwrite64:18:68 readv:19:65 writev:20:66 preadv:295:69 pwritev:296:70 preadv2:327:286 "
        "pwritev2:328:287",
    ),
    (
        "looking at files",
        "stat:4:- fstat:5:80 lstat:6:- newfstatat:262:79 statx:332:291 access:21:- faccessat:269:48 "
        "faccessat2:439:439 readlink:89:- readlinkat:267:78",
    ),
    (
        "free space in /tmp",
        "statfs:137:43 fstatfs:138:44",
    ),
    (
        "walking directories",
        "getdents:78:- getdents64:217:61 getcwd:79:17 chdir:80:49 fchdir:81:50",
    ),
    (
        "building trees in /tmp",
        "mkdir:83:- mkdirat:258:34 rmdir:84:- rename:82:- renameat:264:38 renameat2:316:276 link:86:- "
        "linkat:265:37 symlink:88:- symlinkat:266:36 unlink:87:- unlinkat:263:35 creat:85:-",
    ),
    (
        "mkfifo; device nodes need a capability that is gone",
        "mknod:133:- mknodat:259:33",
    ),
    (
        "tar, unzip, shutil.copystat",
        "chmod:90:- fchmod:91:52 fchmodat:268:53 fchmodat2:452:452 chown:92:- fchown:93:55 lchown:94:- "
        "fchownat:260:54 umask:95:166 utime:132:- utimes:235:- utimensat:280:88 futimesat:261:-",
    ),
    (
        "databases and archives in /tmp",
        "truncate:76:45 ftruncate:77:46 fallocate:285:47 fadvise64:221:223 readahead:187:213 sync:162:81 "
        "fsync:74:82 fdatasync:75:83 sync_file_range:277:84 syncfs:306:267",
    ),
    (
        "shutil.copyfile and servers",
        "copy_file_range:326:285 sendfile:40:71 splice:275:76 tee:276:77 vmsplice:278:75",
    ),
    (
        "shutil.copy2, tar",
        "getxattr:191:8 lgetxattr:192:9 fgetxattr:193:10 listxattr:194:11 llistxattr:195:12 flistxattr:196:13 "
        "setxattr:188:5 lsetxattr:189:6 fsetxattr:190:7 removexattr:197:14 lremovexattr:198:15 "
        "fremovexattr:199:16",
    ),
    (
        "descriptors; some ioctls are refused below",
        "flock:73:32 fcntl:72:25 dup:32:23 dup2:33:- dup3:292:24 ioctl:16:29 close_range:436:436",
    ),
    (
        "frameworks that watch their files",
        "inotify_init:253:- inotify_init1:294:26 inotify_add_watch:254:27 inotify_rm_watch:255:28",
    ),
    (
        "asynchronous file access of databases (not io_uring)",
        "io_setup:206:0 io_submit:209:2 io_getevents:208:4 io_destroy:207:1 io_cancel:210:3 io_pgetevents:333:292",
    ),
    (
        "in-memory files of JITs and Arrow",
        "memfd_create:319:279",
    ),
    (
        "event loops",
        "pipe:22:- pipe2:293:59 eventfd:284:- eventfd2:290:19 signalfd:282:- signalfd4:289:74 "
        "timerfd_create:283:85 timerfd_settime:286:86 timerfd_gettime:287:87",
    ),
    (
        "event loops",
        "poll:7:- ppoll:271:73 select:23:- pselect6:270:72 epoll_create:213:- epoll_create1:291:20 "
        "epoll_ctl:233:21 epoll_wait:232:- epoll_pwait:281:22 epoll_pwait2:441:441 epoll_ctl_old:214:- "
        "epoll_wait_old:215:-",
    ),
    # Memory
    (
        "allocators, JITs, garbage collectors",
        "brk:12:214 mmap:9:222 munmap:11:215 mremap:25:216 mprotect:10:226 madvise:28:233 msync:26:227 "
        "mincore:27:232 mlock:149:228 mlock2:325:284 munlock:150:229 mlockall:151:230 munlockall:152:231 "
        "membarrier:324:283",
    ),
    (
        "V8 and hardened runtimes",
        "pkey_alloc:330:289 pkey_free:331:290 pkey_mprotect:329:288 map_shadow_stack:453:-",
    ),
    (
        "numpy, JVM and OpenMP ask for NUMA hints",
        "get_mempolicy:239:236 set_mempolicy:238:237 mbind:237:235 move_pages:279:239 set_mempolicy_home_node:450:450",
    ),
    (
        "allocators, on themselves",
        "process_madvise:440:440 process_mrelease:448:448",
    ),
    (
        "System V IPC, in the sandbox's own namespace",
        "shmget:29:194 shmat:30:196 shmctl:31:195 shmdt:67:197 semget:64:190 semop:65:193 semtimedop:220:192 "
        "semctl:66:191 msgget:68:186 msgsnd:69:189 msgrcv:70:188 msgctl:71:187",
    ),
    (
        "POSIX queues, in the sandbox's own namespace",
        "mq_open:240:180 mq_unlink:241:181 mq_timedsend:242:182 mq_timedreceive:243:183 mq_notify:244:184 "
        "mq_getsetattr:245:185",
    ),
    # Processes and threads
    (
        "subprocesses; new namespaces are refused below",
        "fork:57:- vfork:58:- clone:56:220 execve:59:221 execveat:322:281 exit:60:93 exit_group:231:94 "
        "wait4:61:260 waitid:247:95",
    ),
    (
        "threads",
        "futex:202:98 futex_waitv:449:449 futex_wake:454:454 futex_wait:455:455 futex_requeue:456:456 "
        "set_robust_list:273:99 get_robust_list:274:100 set_tid_address:218:96 rseq:334:293 gettid:186:178 "
        "arch_prctl:158:-",
    ),
    (
        "job control",
        "getpid:39:172 getppid:110:173 getpgid:121:155 setpgid:109:154 getpgrp:111:- getsid:124:156 setsid:112:157",
    ),
    (
        "signals, within the pid namespace",
        "kill:62:129 tkill:200:130 tgkill:234:131 rt_sigaction:13:134 rt_sigprocmask:14:135 "
        "rt_sigreturn:15:139 rt_sigpending:127:136 rt_sigsuspend:130:133 rt_sigtimedwait:128:137 "
        "rt_sigqueueinfo:129:138 rt_tgsigqueueinfo:297:240 sigaltstack:131:132 pause:34:- "
        "restart_syscall:219:128",
    ),
    (
        "subprocess and asyncio wait for children by them",
        "pidfd_open:434:434 pidfd_send_signal:424:424",
    ),
    (
        "programs that drop privileges; there are none to gain",
        "getuid:102:174 geteuid:107:175 getgid:104:176 getegid:108:177 getresuid:118:148 getresgid:120:150 "
        "getgroups:115:158 setuid:105:146 setgid:106:144 setreuid:113:145 setregid:114:143 setresuid:117:147 "
        "setresgid:119:149 setgroups:116:159 setfsuid:122:151 setfsgid:123:152 capget:125:90 capset:126:91",
    ),
    (
        "sandboxes of one's own (Chromium); they only tighten",
        "prctl:157:167 seccomp:317:277 landlock_create_ruleset:444:444 landlock_add_rule:445:445 "
        "landlock_restrict_self:446:446",
    ),
    (
        "looking at and lowering limits",
        "getrlimit:97:163 setrlimit:160:164 prlimit64:302:261 getrusage:98:165 getpriority:140:141 "
        "setpriority:141:140 ioprio_get:252:31 ioprio_set:251:30",
    ),
    (
        "thread pools size themselves by it",
        "sched_yield:24:124 sched_getaffinity:204:123 sched_setaffinity:203:122 sched_getparam:143:121 "
        "sched_setparam:142:118 sched_getscheduler:145:120 sched_setscheduler:144:119 sched_getattr:315:275 "
        "sched_setattr:314:274 sched_get_priority_max:146:125 sched_get_priority_min:147:126 "
        "sched_rr_get_interval:148:127 getcpu:309:168",
    ),
    (
        "only to ask, or to be ordinary",
        "personality:135:92",
    ),
    # Time and the system
    (
        "clocks and timers",
        "clock_gettime:228:113 clock_getres:229:114 clock_nanosleep:230:115 nanosleep:35:101 "
        "gettimeofday:96:169 time:201:- times:100:153 alarm:37:- getitimer:36:102 setitimer:38:103 "
        "timer_create:222:107 timer_settime:223:110 timer_gettime:224:108 timer_getoverrun:225:109 "
        "timer_delete:226:111",
    ),
    (
        "what platform.* and hashing ask",
        "uname:63:160 sysinfo:99:179 getrandom:318:278",
    ),
    # Network
    (
        "TCP, UDP and unix sockets; other families are refused below",
        "socket:41:198 socketpair:53:199 connect:42:203 accept:43:202 accept4:288:242 bind:49:200 "
        "listen:50:201 getsockname:51:204 getpeername:52:205 getsockopt:55:209 setsockopt:54:208 "
        "shutdown:48:210 sendto:44:206 recvfrom:45:207 sendmsg:46:211 recvmsg:47:212 sendmmsg:307:269 "
        "recvmmsg:299:243",
    ),
)


def numbers(machine: str) -> dict[str, int]:
    """Allowed system calls of an architecture (`x86_64` or `aarch64`), by name."""
    column = {"x86_64": 1, "aarch64": 2}[machine]
    entries = (entry.split(":") for _reason, names in ALLOWED for entry in names.split())
    return {entry[0]: int(entry[column]) for entry in entries if entry[column] != "-"}
