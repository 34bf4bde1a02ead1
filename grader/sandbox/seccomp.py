"""System calls that a worker may not make: no process, no program, no socket, no foreign signal.

The filter is a few dozen BPF instructions, made here, because it needs no privilege and works in
containers that refuse namespaces. What an exercise may need (threads, files, memory) stays.
Numbers are those of the kernel's tables (arch/x86/entry/syscalls/syscall_64.tbl, and
include/uapi/asm-generic/unistd.h for aarch64).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from dataclasses import dataclass

# Nobody grades code that needs these: other processes' memory, mounts, modules, keys, tracing, and
# memory that no limit of the process counts.
_DENIED = {
    "x86_64": (
        *(57, 58, 59, 322),  # fork, vfork, execve, execveat
        *(200, 129, 297, 424, 434, 438),  # tkill, rt_sigqueueinfo ×2, pidfd_*
        *(101, 310, 311, 312, 440),  # ptrace, process_vm_*, kcmp, process_madvise
        *(165, 166, 155, 161, 428, 429, 430, 431, 432, 433, 442, 272, 308),  # mounts, namespaces
        *(303, 304, 179, 163, 103, 135),  # file handles, quotactl, acct, syslog, personality
        *(321, 298, 323, 425, 426, 427, 248, 249, 250),  # bpf, perf, userfaultfd, io_uring, keys
        *(319, 447, 29, 30, 68, 64, 240),  # memfd_*, System V memory and queues
        *(175, 313, 176, 246, 169, 167, 168),  # modules, kexec, reboot, swap
        *(90, 91, 268, 452, 92, 93, 94, 260),  # chmod and chown, which Landlock lets pass
        *(132, 235, 261, 280, 188, 189, 190, 197, 198, 199, 463, 466),  # times, attributes of files
        *(42, 49, 141, 251, 227, 164, 159, 305, 172, 173),  # connect, bind, priorities, clocks, I/O
    ),
    "aarch64": (
        *(221, 281),
        *(130, 138, 240, 424, 434, 438),
        *(117, 270, 271, 272, 440),
        *(40, 39, 41, 51, 428, 429, 430, 431, 432, 433, 442, 97, 268),
        *(264, 265, 60, 89, 116, 92),
        *(280, 241, 282, 425, 426, 427, 217, 218, 219),
        *(279, 447, 194, 196, 186, 190, 180),
        *(105, 273, 106, 104, 142, 224, 225),
        *(52, 53, 452, 54, 55),
        *(88, 5, 6, 7, 14, 15, 16, 463, 466),
        *(203, 200, 140, 30, 112, 170, 171, 266),
    ),
}


@dataclass(frozen=True)
class _Machine:
    audit: int  # AUDIT_ARCH_*
    clone: int
    socket: int
    socketpair: int
    ioctl: int
    fcntl: int
    kill: int
    tgkill: int
    of_a_process: tuple[int, ...]  # prlimit64, sched_setaffinity, -param, -scheduler, -attr


_MACHINES = {
    "x86_64": _Machine(
        *(0xC000003E, 56, 41, 53, 16, 72, 62, 234), of_a_process=(302, 203, 142, 144, 314)
    ),
    "aarch64": _Machine(
        *(0xC00000B7, 220, 198, 199, 29, 25, 129, 131), of_a_process=(261, 122, 118, 119, 274)
    ),
}
_CLONE3 = 435
_X32 = 0x40000000
_CLONE_THREAD = 0x00010000
_SOCK_TYPE, _SOCK_STREAM = 0xF, 1
_OWNERS = {"ioctl": (0x8901, 0x8902), "fcntl": (8, 10, 15)}  # FIOSETOWN, F_SETOWN, F_SETSIG, …

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _HAS_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NR, _ARCH, _ARG0, _ARG1 = 0, 4, 16, 24  # offsets in struct seccomp_data; low halves of arguments

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def restrict() -> None:
    """Put the filter on this process and all its threads, for good.

    Raises:
        OSError: the kernel or the machine has no such filters.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no system call table for {sys.platform} on {machine}")
    code = program(_MACHINES[machine], _DENIED[machine], os.getpid())
    memory = ctypes.create_string_buffer(code, len(code))
    filters = _Program(len(code) // 8, ctypes.addressof(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _FILTER, ctypes.byref(filters), 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"seccomp: {os.strerror(number)}")


def refused() -> str:
    """Why this machine has no such filter, tried out in a process of its own; nothing if it has."""
    if not hasattr(os, "fork"):
        return f"no system call table for {sys.platform}"
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            restrict()
        except OSError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as said:
        why = said.read().decode(errors="replace")
    os.waitpid(child, 0)
    return why


def program(machine: _Machine, denied: tuple[int, ...], pid: int) -> bytes:
    """Assemble the filter.

    Args:
        machine: the numbers of the calls that are looked at more closely.
        denied: the numbers of the calls that fail with EPERM.
        pid: the only process that signals may go to, and whose limits may change.
    """
    refuse = _one(_RETURN, _ERRNO | errno.EPERM)
    code = [
        _one(_LOAD, _ARCH),
        _one(_EQUAL, machine.audit, yes=1),
        _one(_RETURN, _KILL),
        _one(_LOAD, _NR),
        _one(_AT_LEAST, _X32, no=1),
        refuse,
    ]
    for number in denied:
        code += [_one(_EQUAL, number, no=1), refuse]
    code += [_one(_EQUAL, _CLONE3, no=1), _one(_RETURN, _ERRNO | errno.ENOSYS)]
    code += [_one(_EQUAL, machine.socket, no=1), _one(_RETURN, _ERRNO | errno.EACCES)]
    code += [  # a thread, but no process
        _one(_EQUAL, machine.clone, no=4),
        _one(_LOAD, _ARG0),
        _one(_HAS_BIT, _CLONE_THREAD, no=1),
        _one(_RETURN, _ALLOW),
        refuse,
    ]
    code += [  # a pair of streams, but no datagrams, which reach whom they are addressed to
        _one(_EQUAL, machine.socketpair, no=5),
        _one(_LOAD, _ARG1),
        _one(_AND, _SOCK_TYPE),
        _one(_EQUAL, _SOCK_STREAM, no=1),
        _one(_RETURN, _ALLOW),
        refuse,
    ]
    for number, name in ((machine.ioctl, "ioctl"), (machine.fcntl, "fcntl")):
        commands = _OWNERS[name]  # signals to whom one likes, sent by a file
        code += [_one(_EQUAL, number, no=2 + 2 * len(commands)), _one(_LOAD, _ARG1)]
        for command in commands:
            code += [_one(_EQUAL, command, no=1), refuse]
        code.append(_one(_RETURN, _ALLOW))
    own = (machine.kill, machine.tgkill, *machine.of_a_process)
    for number in own:  # abort() and pthread_kill() signal oneself; 0 is oneself, but for kill()
        itself = 0 if number in machine.of_a_process else pid
        code += [
            _one(_EQUAL, number, no=5),
            _one(_LOAD, _ARG0),
            _one(_EQUAL, pid, yes=1),
            _one(_EQUAL, itself, no=1),
            _one(_RETURN, _ALLOW),
            refuse,
        ]
    code.append(_one(_RETURN, _ALLOW))
    return b"".join(code)


def _one(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """One BPF instruction; `yes` and `no` are how many to skip."""
    return struct.pack("=HBBI", code, yes, no, value)
