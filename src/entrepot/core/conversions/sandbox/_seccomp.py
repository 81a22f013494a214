"""The filter of system calls: what no converter needs and what has opened kernels before.

A list of what is refused, not of what is allowed: the libraries change their calls with every
release. Each refusal is EPERM, so that a library goes another way where it has one. The program
is classic BPF over struct seccomp_data (seccomp(2)), for the two architectures named here; on
another one there is none, and the namespaces hold alone.
"""

import errno
import platform
import socket
import struct
from collections.abc import Mapping

_AUDIT_ARCH: Mapping[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AT_NUMBER, _AT_ARCH, _AT_FIRST_ARGUMENT = 0, 4, 16
_X32 = 0x40000000  # x86_64: a second table of calls, used by nobody
_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW* that clone(2) knows

# name: (number on x86_64, number on aarch64); None: the architecture has no such call.
_REFUSED: Mapping[str, tuple[int | None, int | None]] = {
    # The network, even where a namespace had a way out.
    "socket": (41, 198),
    # Rights and times of files: a stored file is read only by its mode (0400), which its owner,
    # and that is who converts, could change.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "setxattrat": (463, 463),
    "removexattrat": (466, 466),
    # Mounts and namespaces.
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "unshare": (272, 97),
    "setns": (308, 268),
    # Other processes.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    # Memory that no limit on processes counts.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "mq_open": (240, 180),
    # Large and seldom used parts of the kernel.
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "iopl": (172, None),
    "ioperm": (173, None),
    # The machine.
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "quotactl": (179, 60),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "acct": (163, 89),
    "syslog": (103, 116),
    "settimeofday": (170, 170),
    "adjtimex": (159, 171),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
}
_CLONE = (56, 220)
_CLONE3 = 435  # its flags lie in memory where a filter cannot look: the caller falls back to clone


def seccomp_program(
    machine: str = platform.machine(), *, local_sockets: bool = False
) -> bytes | None:
    """The program for `bwrap --seccomp`; None on an architecture that it is not written for.

    With `local_sockets` those of the family AF_UNIX may be made.
    """
    arch = _AUDIT_ARCH.get(machine)
    if arch is None:
        return None
    column = list(_AUDIT_ARCH).index(machine)
    socket_number = _REFUSED["socket"][column]
    refused = [row[column] for row in _REFUSED.values()]
    if local_sockets:
        refused.remove(socket_number)
    program = [
        _step(_LOAD, _AT_ARCH),
        _step(_IF_EQUAL, arch, yes=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _AT_NUMBER),
        *_answer(_IF_AT_LEAST, _X32, errno.ENOSYS),
        *_answer(_IF_EQUAL, _CLONE3, errno.ENOSYS),
    ]
    for number in refused:
        if number is not None:
            program += _answer(_IF_EQUAL, number, errno.EPERM)
    if local_sockets and socket_number is not None:
        program += [
            _step(_IF_EQUAL, socket_number, no=4),
            _step(_LOAD, _AT_FIRST_ARGUMENT),
            _step(_IF_EQUAL, socket.AF_UNIX, yes=1),
            _step(_RETURN, _ERRNO | errno.EPERM),
            _step(_LOAD, _AT_NUMBER),
        ]
    program += [
        _step(_IF_EQUAL, _CLONE[column], no=3),
        _step(_LOAD, _AT_FIRST_ARGUMENT),
        *_answer(_IF_ANY_BIT, _NEW_NAMESPACES, errno.EPERM),
        _step(_RETURN, _ALLOW),
    ]
    return b"".join(program)


def _answer(test: int, value: int, number: int) -> list[bytes]:
    return [_step(test, value, no=1), _step(_RETURN, _ERRNO | number)]


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
