"""Archives that explode, escape or lie: read within bounds, or refused in words."""

from __future__ import annotations

import io
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from grader import catalogue, handin
from grader.engine import Policy, grade

HONEST = "def repeat_kv(x, n_rep):\n    return x.repeat_interleave(n_rep, 2)\n"
PLACE = "ch5/repeat_kv.py"
KNOWN = catalogue.load()


def zipped(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def tarred(path: Path, *members: tuple[tarfile.TarInfo | str, bytes]) -> Path:
    mode = "w:" + {"gz": "gz", "bz2": "bz2", "xz": "xz"}.get(path.suffix[1:], "")
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            if info.isreg():
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def zip_link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def refused(path: Path, **bounds: int) -> str:
    with pytest.raises(handin.HandInError) as caught:
        handin.read(path, KNOWN, handin.Bounds(**bounds))
    assert caught.value.text.zh
    return str(caught.value)


# ---- what honest people hand in


@pytest.mark.parametrize("folder", ["", "my-llm/", "a/b/c/"])
def test_a_workspace_is_found_wherever_it_lies_in_an_archive(tmp_path, folder):
    path = zipped(tmp_path / "work.zip", (f"{folder}{PLACE}", HONEST), ("README.md", "hello"))
    assert handin.read(path, KNOWN) == handin.HandIn({PLACE: HONEST})


@pytest.mark.parametrize("end", ["tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_every_kind_of_tar_is_read(tmp_path, end):
    made = tarred(tmp_path / "made.tar", (f"work/{PLACE}", HONEST.encode()))
    packers = {"gz": "gzip", "tgz": "gzip", "bz2": "bz2", "xz": "lzma"}
    packer = packers.get(end.rpartition(".")[2])
    path = tmp_path / f"work.{end}"
    data = made.read_bytes()
    path.write_bytes(__import__(packer).compress(data) if packer else data)
    assert handin.read(path, KNOWN).files == {PLACE: HONEST}


def test_names_with_the_separators_of_windows_are_read(tmp_path):
    path = zipped(tmp_path / "work.zip", ("work\\ch5\\repeat_kv.py", HONEST))
    assert handin.read(path, KNOWN).files == {PLACE: HONEST}


def test_a_file_that_lies_loose_is_taken_for_the_exercise_of_its_name(tmp_path):
    (tmp_path / "repeat_kv.py").write_text(HONEST)
    assert handin.read(tmp_path / "repeat_kv.py", KNOWN).files == {PLACE: HONEST}
    assert handin.read(tmp_path, KNOWN).files == {PLACE: HONEST}


def test_helpers_beside_the_exercises_come_along(tmp_path):
    path = zipped(tmp_path / "w.zip", (PLACE, HONEST), ("ch5/mine.py", "x = 1\n"), ("setup.py", ""))
    assert handin.read(path, KNOWN).files == {PLACE: HONEST, "ch5/mine.py": "x = 1\n"}


def test_the_backups_that_a_mac_adds_are_no_second_workspace(tmp_path):
    path = zipped(tmp_path / "w.zip", (f"__MACOSX/{PLACE}", b"\x00\x05"), (f"w/{PLACE}", HONEST))
    assert handin.read(path, KNOWN).files == {PLACE: HONEST}


def test_of_two_workspaces_the_one_less_deep_counts_and_the_other_is_named(tmp_path):
    path = zipped(tmp_path / "w.zip", (f"old/w/{PLACE}", "old"), (f"w/{PLACE}", HONEST))
    found = handin.read(path, KNOWN)
    assert found.files == {PLACE: HONEST}
    assert "old/w" in found.notes[0].en


def test_a_file_that_is_no_utf_8_is_named_and_the_others_are_read(tmp_path):
    path = zipped(tmp_path / "w.zip", (PLACE, HONEST), ("ch5/mlp.py", b"x = 1\ny = '\xe9'\n"))
    found = handin.read(path, KNOWN)
    assert found.files == {PLACE: HONEST}
    assert "line 2" in found.unread["ch5/mlp.py"].en


def test_names_that_are_no_utf_8_do_no_harm(tmp_path):
    folder = os.fsencode(tmp_path / "w")
    os.makedirs(folder + b"/ch5")
    (tmp_path / "w" / PLACE).write_text(HONEST)
    try:
        with open(folder + b"/ch5/\xff\xfe.py", "wb") as file:
            file.write(b"x = 1\n")
    except OSError:
        pytest.skip("this file system takes no such name")
    assert handin.read(tmp_path / "w", KNOWN).files[PLACE] == HONEST


# ---- what escapes


@pytest.mark.parametrize(
    "name", [f"../../{PLACE}", f"/etc/{PLACE}", f"C:/{PLACE}", "../ch5/mlp.py"]
)
@pytest.mark.parametrize("pack", ["zip", "tar"])
def test_a_member_that_leads_out_is_left_out_and_named(tmp_path, name, pack):
    path = tmp_path / f"work.{pack}"
    if pack == "zip":
        zipped(path, (name, "stolen"), (f"w/{PLACE}", HONEST))
    else:
        tarred(path, (name, b"stolen"), (f"w/{PLACE}", HONEST.encode()))
    found = handin.read(path, KNOWN)
    assert found.files == {PLACE: HONEST}
    assert name in found.notes[0].en


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_pipes_in_a_tar_are_left_out(tmp_path, kind):
    solution = str(Path("solutions", PLACE).resolve())
    evil = link(f"w/{PLACE}", solution, kind)
    path = tarred(tmp_path / "w.tar", (evil, b""), ("w/ch5/mlp.py", b"x = 1\n"))
    found = handin.read(path, KNOWN)
    assert found.files == {"ch5/mlp.py": "x = 1\n"}
    assert PLACE in found.notes[0].en


def test_a_link_in_a_zip_is_not_followed(tmp_path):
    target = str(Path("solutions", PLACE).resolve())
    path = zipped(tmp_path / "w.zip", (zip_link(PLACE), target), ("ch5/mlp.py", "x = 1\n"))
    assert handin.read(path, KNOWN).files == {"ch5/mlp.py": "x = 1\n"}


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_out_of_a_folder_is_not_followed(tmp_path, what):
    there, here = tmp_path / "elsewhere" / "ch5", tmp_path / "handed_in"
    there.mkdir(parents=True)
    (there / "repeat_kv.py").write_text(HONEST)
    if what == "folder":
        here.mkdir()
        (here / "ch5").symlink_to(there)
    else:
        (here / "ch5").mkdir(parents=True)
        (here / PLACE).symlink_to(there / "repeat_kv.py")
    assert "holds no file of an exercise" in refused(here)


def test_a_link_in_place_of_the_hand_in_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "w").symlink_to(tmp_path / "real")
    assert "no regular file" in refused(tmp_path / "w")


def test_nothing_is_written_where_a_hand_in_lies(tmp_path):
    path = tarred(tmp_path / "w.tar", (f"../{PLACE}", b"x"), (f"w/{PLACE}", HONEST.encode()))
    before = sorted(tmp_path.parent.rglob("*"))
    handin.read(path, KNOWN)
    assert sorted(tmp_path.parent.rglob("*")) == before


# ---- what explodes


def peak_mib(action) -> float:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1] / (1 << 20)
    finally:
        tracemalloc.stop()


def test_a_member_that_unpacks_without_end_is_read_no_further_than_a_file_may_be(tmp_path):
    path = zipped(tmp_path / "bomb.zip", (PLACE, b"\0" * (200 << 20)))
    assert path.stat().st_size < 1 << 20
    found = []
    assert peak_mib(lambda: found.append(handin.read(path, KNOWN))) < 16
    assert "larger than 1 MiB" in found[0].unread[PLACE].en


def test_many_members_that_overlap_are_too_much_together(tmp_path):
    members = [(f"ch5/part_{n}.py", b"#" * (1 << 20)) for n in range(40)]
    assert "8 MiB" in refused(zipped(tmp_path / "bomb.zip", *members))


def test_a_member_packed_so_that_it_unpacks_unbounded_is_left_out(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr(PLACE, b"\0" * (64 << 20))
    assert peak_mib(lambda: refused(path)) < 16


@pytest.mark.parametrize("end", ["gz", "bz2", "xz"])
def test_a_tar_that_unpacks_without_end_is_refused(tmp_path, end):
    path = tarred(tmp_path / f"bomb.tar.{end}", ("w/data.bin", b"\0" * (9 << 20)))
    assert "unpacks to more than 8 MiB" in refused(path, unpacked_bytes=8 << 20)


def test_a_size_that_a_tar_only_states_is_not_believed(tmp_path):
    info = tarfile.TarInfo(f"w/{PLACE}")
    info.size = 1 << 40
    path = tmp_path / "liar.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"x" * 1024)
    assert peak_mib(lambda: refused(path)) < 16


def test_a_zip_with_a_directory_of_millions_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "many.zip"
    size = 20 << 20
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, size, 0, 0)
    path.write_bytes(b"\0" * size + end)
    assert peak_mib(lambda: refused(path)) < 1


def test_too_many_members_are_refused(tmp_path):
    path = zipped(tmp_path / "many.zip", *[(f"{n}.txt", "") for n in range(60)])
    assert "more than 50 files" in refused(path, entries=50)


def test_too_large_an_archive_is_refused_unread(tmp_path):
    path = tmp_path / "huge.zip"
    with path.open("wb") as file:
        file.truncate(2 << 30)  # a hole: it takes no room
    assert "larger than 64 MiB" in refused(path)


def test_an_archive_in_an_archive_is_not_opened(tmp_path):
    inner = zipped(tmp_path / "inner.zip", (PLACE, HONEST))
    path = zipped(tmp_path / "outer.zip", ("inner.zip", inner.read_bytes()))
    assert "holds no file of an exercise" in refused(path)


# ---- what lies


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.95])
def test_half_an_archive_is_refused_in_words(tmp_path, share):
    whole = zipped(tmp_path / "w.zip", (PLACE, HONEST)).read_bytes()
    path = tmp_path / "half.zip"
    path.write_bytes(whole[: int(share * len(whole))])
    assert "cannot be read" in refused(path)


def test_a_member_whose_sum_is_wrong_is_refused(tmp_path):
    path = zipped(tmp_path / "w.zip", (PLACE, HONEST))
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<L", zlib.crc32(HONEST.encode())), b"abcd"))
    assert "cannot be read" in refused(path)


def test_an_encrypted_member_is_left_out_and_named(tmp_path):
    path = zipped(tmp_path / "w.zip", (PLACE, HONEST), ("ch5/mlp.py", "x = 1\n"))
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    path.write_bytes(data)
    found = handin.read(path, KNOWN)
    assert found.files == {"ch5/mlp.py": "x = 1\n"}
    assert "encrypted" in found.notes[0].en


@pytest.mark.parametrize("name", ["work.rar", "work.7z", "work.txt", "work"])
def test_what_is_no_archive_is_refused_with_the_kinds_that_are_read(tmp_path, name):
    (tmp_path / name).write_bytes(b"Rar!\x1a\x07")
    assert "a zip or a tar.gz" in refused(tmp_path / name)


def test_a_text_called_zip_is_refused(tmp_path):
    (tmp_path / "w.zip").write_text("no archive")
    assert "cannot be read" in refused(tmp_path / "w.zip")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "w.zip")
    assert "no regular file" in refused(tmp_path / "w.zip")


def test_pipes_in_a_folder_are_not_waited_for(tmp_path):
    (tmp_path / "ch5").mkdir()
    os.mkfifo(tmp_path / PLACE)
    assert "holds no file of an exercise" in refused(tmp_path)


def test_what_an_archive_escapes_with_is_graded_as_missing_and_the_rest_as_it_is(tmp_path):
    solution = str(Path("solutions", PLACE).resolve())
    norm = Path("solutions/ch5/rms_norm.py").read_bytes()
    path = tarred(
        tmp_path / "w.tar.gz",
        (link(f"w/{PLACE}", solution), b""),
        (f"../{PLACE}", HONEST.encode()),
        ("w/ch5/rms_norm.py", norm),
    )
    exercises = [KNOWN[PLACE.removesuffix(".py")], KNOWN["ch5/rms_norm"]]
    report = grade(exercises, handin.read(path, KNOWN).files, Policy(seed=1))
    assert [graded.outcome for graded in report.exercises] == ["error", "passed"]
    assert report.exercises[0].failure.kind == "missing"
