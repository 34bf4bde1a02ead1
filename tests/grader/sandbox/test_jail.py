"""The jail: what a worker can reach, tried from within by the code that would like to."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from grader.judge.student import Died, Output, Raised, StudentFailure, WorkerBackend
from grader.sandbox.jail import ENVIRONMENT, STRENGTHS, Limits
from grader.sandbox.nursery import Lease

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail is Linux's")


@pytest.fixture(params=STRENGTHS[:-1])
def confined(request, inside):
    """Run code under each strength that this machine gives."""
    return lambda body, *args, **limits: inside(body, *args, isolation=request.param, **limits)


def refused(run, body, *args, **limits):
    with pytest.raises(Raised) as caught:
        run(body, *args, **limits)
    assert caught.value.is_a("OSError"), caught.value
    return caught.value


def test_four_descriptors_are_open_and_no_more(confined):
    body = """
    import os
    found = []
    for fd in range(args[0]):
        try:
            os.fstat(fd)
            found.append(fd)
        except OSError:
            pass
    return found
    """
    assert confined(body, 4096) == [0, 1, 2, 3]


# ---- what it may read


def test_the_environment_holds_a_home_and_a_language_and_nothing_else(confined):
    seen = confined("import os; return dict(os.environ)")
    assert set(seen) <= {*ENVIRONMENT, "HOME", "TMPDIR", "PATH"}


def test_the_command_line_tells_nothing(confined):
    assert confined("import sys; return sys.argv") == [""]


def test_the_standard_library_and_the_packages_can_be_read(confined):
    body = """
    import colorsys, torch.nn.utils.prune, wave
    return wave.__name__, open(torch.__file__).read(3) != ""
    """
    assert confined(body) == ("wave", True)


@pytest.mark.parametrize(
    "path",
    [
        *(str(ROOT / "pyproject.toml"), str(ROOT / "solutions/ch5/repeat_kv.py")),
        *(str(ROOT / "grader/suites/ch5/test_repeat_kv.py"), str(ROOT / "grader/sandbox/jail.py")),
        *(
            "/etc/passwd",
            "/etc/hostname",
            "/proc/self/environ",
            "/proc/self/maps",
            "/proc/1/status",
        ),
    ],
)
def test_no_file_of_anybody_else_can_be_read(confined, path):
    assert Path(path).exists()
    assert refused(confined, f"open({path!r})").type == "PermissionError"


@pytest.mark.parametrize("folder", ["/", "/tmp", "/etc", "/proc", str(Path.home()), str(ROOT)])
def test_no_folder_of_anybody_else_can_be_listed(confined, folder):
    assert refused(confined, f"import os; os.listdir({folder!r})").type == "PermissionError"


def test_a_file_in_the_common_temporary_folder_cannot_be_read(confined, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("42")
    refused(confined, f"open({str(secret)!r})")


def test_the_answers_cannot_be_imported_even_without_the_finder(confined):
    body = """
    import sys
    sys.meta_path.pop(0)
    sys.path.insert(0, args[0])
    import happyllm.llama.attention
    """
    with pytest.raises(Raised) as caught:
        confined(body, str(ROOT))
    assert caught.value.is_a("ImportError") or caught.value.is_a("PermissionError")


# ---- what it may write


def test_the_scratch_folder_is_empty_and_is_home_and_here_and_temporary(confined):
    body = """
    import os, tempfile
    assert os.listdir() == []
    return os.getcwd() == os.path.expanduser("~") == tempfile.gettempdir()
    """
    assert confined(body) is True


def test_the_scratch_folder_can_be_written_and_read(confined):
    body = """
    import os
    os.makedirs("a/b")
    open("a/b/c", "w").write("hello")
    return open("a/b/c").read()
    """
    assert confined(body) == "hello"


def test_the_scratch_folder_is_seen_by_its_worker_alone(jailed):
    code = """
    import os
    def write(): open("mine", "w").write("x")
    def see(): return os.listdir()
    """
    one, other = jailed(code), jailed(code)
    one.student.write()
    assert one.student.see() == ["mine"]
    assert other.student.see() == []


@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp", "/dev/shm", str(ROOT), sys.prefix])
def test_nothing_can_be_written_elsewhere(confined, folder):
    path = f"{folder}/written-by-a-worker"
    refused(confined, f"open({path!r}, 'w')")
    assert not os.path.exists(path)


def test_a_file_grows_to_the_limit_and_no_further(confined):
    body = "with open('big', 'wb') as file: file.write(bytes(args[0]))"
    confined(body, 1 << 20, file_bytes=1 << 20)
    refused(confined, body, (1 << 20) + 1, file_bytes=1 << 20)


def test_many_files_together_grow_to_the_limit_and_no_further(inside):
    body = """
    for name in range(8):
        with open(str(name), "wb") as file:
            file.write(bytes(1 << 19))
    """
    limits = {"isolation": "namespaces+landlock", "file_bytes": 1 << 20}
    assert "No space left" in refused(inside, body, **limits).message


# ---- whom it may talk to


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"])
def test_no_socket_can_be_made(confined, family):
    body = f"import socket; socket.socket(socket.{family}, socket.SOCK_DGRAM)"
    assert refused(confined, body).type == "PermissionError"


def test_a_server_on_this_machine_cannot_be_reached(confined):
    with socket.create_server(("127.0.0.1", 0)) as server:
        refused(confined, "import socket; socket.create_connection(args[0])", server.getsockname())


def test_a_socket_in_the_file_system_cannot_be_reached(confined, tmp_path):
    path = os.path.relpath(tmp_path / "s", "/")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/{path}")
        server.listen()
        refused(
            confined, "import socket; socket.socket(socket.AF_UNIX).connect(args[0])", f"/{path}"
        )
        refused(
            confined,
            """
            import socket
            one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            one.connect(args[0])
            """,
            f"/{path}",
        )


@pytest.mark.parametrize(
    "body",
    [
        "import os; os.fork()",
        "import os; os.posix_spawn('/bin/true', ['true'], {})",
        "import os; os.execv('/bin/true', ['true'])",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', ''])",
        "import multiprocessing as m; m.get_context('fork').Process(target=print).start()",
    ],
    ids=["fork", "spawn", "exec", "subprocess", "multiprocessing"],
)
def test_no_process_can_be_started(confined, body):
    refused(confined, body)


def test_threads_can_be_started(confined):
    body = """
    import threading
    seen = []
    thread = threading.Thread(target=seen.append, args=(1,))
    thread.start()
    thread.join()
    return seen
    """
    assert confined(body) == [1]


def test_an_event_loop_runs(confined):
    body = """
    import asyncio
    async def answer():
        await asyncio.sleep(0)
        return 42
    return asyncio.run(answer())
    """
    assert confined(body) == 42


@pytest.mark.parametrize(
    "pid",
    ["os.getppid()", "-1", str(os.getpid()), "0"],
    ids=["its parent", "all", "the grader", "its group"],
)
def test_no_other_process_can_be_signalled(confined, pid):
    refused(confined, f"import os, signal; os.kill({pid}, signal.SIGTERM)")


@pytest.mark.parametrize(
    "call",
    [
        "libc.unshare(0x10000000)",
        "libc.mount(b'none', b'/', b'tmpfs', 0, None)",
        "libc.ptrace(0, 0, 0, 0)",
        "libc.sethostname(b'x', 1)",
        "libc.setuid(0) if libc.getuid() else libc.chroot(b'/')",
    ],
)
def test_no_privilege_is_left(inside, call):
    body = f"import ctypes; libc = ctypes.CDLL(None); return {call}"
    assert inside(body, isolation="namespaces+landlock") == -1


# ---- how much it may use


def test_memory_is_limited(confined):
    body = "import torch; return torch.empty(args[0], dtype=torch.uint8).numel()"
    assert confined(body, 1 << 20, memory_bytes=256 << 20) == 1 << 20
    with pytest.raises(StudentFailure, match="memory"):
        confined(body, 512 << 20, memory_bytes=256 << 20)


def test_open_files_are_limited(confined):
    body = "files = [open('f', 'w') for _ in range(args[0])]; return len(files)"
    assert confined(body, 20, open_files=40) == 20
    assert refused(confined, body, 40, open_files=40).message.startswith("[Errno 24]")


def test_processor_time_is_limited(confined):
    with pytest.raises(Died):
        confined("while True: pass", cpu_s=1)


def test_no_limit_can_be_lifted(confined):
    body = """
    import resource
    for name in ("AS", "CPU", "FSIZE", "NOFILE"):
        which = getattr(resource, f"RLIMIT_{name}")
        soft, hard = resource.getrlimit(which)
        assert soft == hard
        try:
            resource.setrlimit(which, (hard + 1, hard + 1))
        except ValueError:
            continue
        return name
    """
    assert confined(body) is None


# ---- which isolation is in force


@pytest.mark.parametrize("demanded", STRENGTHS)
def test_only_the_isolation_that_is_demanded_is_allowed(demanded):
    limits = Limits(isolation=demanded, weakest="process")
    assert [one for one in STRENGTHS if limits.allows(one)] == [demanded]


@pytest.mark.parametrize("place", range(len(STRENGTHS)))
def test_what_is_weaker_than_the_weakest_is_not_allowed(place):
    limits = Limits(weakest=STRENGTHS[place])
    assert tuple(one for one in STRENGTHS if limits.allows(one)) == STRENGTHS[: place + 1]


def test_a_worker_says_which_isolation_is_in_force(jailed):
    for strength in ("landlock", "process"):
        assert jailed("", isolation=strength).backend.isolation == strength


# In a user namespace of its own, where no further namespace may be made, as in many containers.
CONTAINER = """
import ctypes, json, os, sys
from pathlib import Path
if ctypes.CDLL(None).unshare(0x10000000) != 0:
    sys.exit(77)
Path("/proc/self/setgroups").write_text("deny")
Path("/proc/self/uid_map").write_text(f"0 {os.environ['ID']} 1")
Path("/proc/sys/user/max_user_namespaces").write_text("0")

from grader.judge.student import Output, WorkerBackend
from grader.sandbox.jail import Limits
from grader.sandbox.nursery import Lease, Nursery

with Nursery(preload=()) as nursery:
    said = []
    for weakest in ("process", "namespaces+landlock"):
        lease = Lease(nursery._connection)
        backend = WorkerBackend(lease, Limits(weakest=weakest), 20.0, Output(9999))
        said.append([backend.isolation, backend.refused])
        backend.close()
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said_in_a_container():
    done = subprocess.run(
        [sys.executable, "-c", CONTAINER],
        cwd=ROOT,
        env=os.environ | {"ID": str(os.getuid())},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("this machine makes no user namespaces to try it in")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_where_namespaces_are_refused_the_next_strength_is_in_force_and_says_why(
    said_in_a_container,
):
    isolation, why = said_in_a_container[0]
    assert isolation in ("landlock+uid", "landlock")
    assert "namespaces: " in why


def test_where_namespaces_are_refused_and_demanded_nothing_runs(said_in_a_container):
    isolation, why = said_in_a_container[1]
    assert isolation == ""
    assert "'namespaces+landlock or stronger' is demanded" in why
    assert "namespaces: " in why


def test_an_isolation_that_is_demanded_and_not_given_runs_nothing(warm, tmp_path):
    limits = Limits(isolation="landlock+uid")
    backend = WorkerBackend(Lease(warm._connection), limits, 20.0, Output(9999))
    try:
        if backend.isolation == "":
            with pytest.raises(Died):
                backend.ask(b"")
        else:
            assert backend.isolation == "landlock+uid"
    finally:
        backend.close()
