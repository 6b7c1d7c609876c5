"""The two downloads and the command runner below them; no test here needs a network."""

import os

import pytest

from tivae.data.fetching import debian_package, mirror, run
from tivae.data.image_set import File, UnavailableError

FILES = (File("images", "sha256:", 100), File("labels", "sha256:", 100))
PACKAGE, FOLDER = "dataset-fashion-mnist", "usr/share/datasets/fashion-mnist"


def debian(work):
    return debian_package(PACKAGE, FOLDER).place(FILES, work)


class TestRun:
    @pytest.mark.parametrize(
        ("script", "reason"),
        [
            ("echo first; echo last >&2; exit 1", "^last$"),
            ("echo 'E: no such package'; echo 'E: some failed'; echo 'W: slow'; exit 100", "^no such package$"),
            ("exit 7", "^exit status 7$"),
        ],
    )
    def test_a_failing_command_gives_its_own_reason(self, tmp_path, script, reason):
        with pytest.raises(UnavailableError, match=reason):
            run(["sh", "-c", script], tmp_path)

    def test_a_missing_program_is_named(self, tmp_path):
        with pytest.raises(UnavailableError, match=r"no-such-program cannot be started \(No such file"):
            run(["no-such-program"], tmp_path)

    def test_a_command_that_hangs_is_ended(self, tmp_path):
        with pytest.raises(UnavailableError, match=r"sleep has not ended within 0\.2 s"):
            run(["sleep", "60"], tmp_path, seconds=0.2)

    def test_nothing_reaches_the_console(self, tmp_path, capfd):
        run(["sh", "-c", "echo out; echo err >&2"], tmp_path)
        assert capfd.readouterr() == ("", "")


@pytest.fixture
def work(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


class TestMirror:
    def test_it_gives_the_files_under_their_names_with_the_suffix(self, served, work):
        folder, address = served
        for name in ("images", "labels"):
            (folder / f"{name}.gz").write_bytes(name.encode())
        assert mirror(address, suffix=".gz").place(FILES, work) == work
        assert {path.name: path.read_text() for path in work.iterdir()} == {
            "images.gz": "images",
            "labels.gz": "labels",
        }

    def test_a_missing_file_is_named(self, served, work):
        with pytest.raises(UnavailableError, match=r"/images gives no file \(404 File not found\)"):
            mirror(served[1]).place(FILES, work)

    def test_more_than_a_file_may_have_is_not_kept(self, served, work):
        folder, address = served
        (folder / "images").write_bytes(bytes(101))
        with pytest.raises(UnavailableError, match="images has more than the 100 bytes that it may have"):
            mirror(address).place(FILES, work)
        assert (work / "images").stat().st_size <= 100

    def test_a_silent_server_is_given_up(self, work):
        import socket

        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
            with pytest.raises(UnavailableError, match=r"/images gives no file \(timed out\)"):
                mirror(address, timeout_s=0.1).place(FILES, work)

    def test_an_unreachable_server_is_given_up_quietly(self, work, capfd):
        # Nothing listens there.
        with pytest.raises(UnavailableError, match="Connection refused"):
            mirror("http://127.0.0.1:9/").place(FILES, work)
        assert capfd.readouterr() == ("", "")


class TestDebianPackage:
    """With stand-ins for apt-get and dpkg-deb on the PATH that write down how they were called."""

    @pytest.fixture
    def programs(self, tmp_path, monkeypatch):
        folder = tmp_path / "programs"
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

        def install(name, script):
            (folder / name).write_text(f'#!/bin/sh\necho "$*" >> "{tmp_path}/{name}.calls"\n{script}\n')
            (folder / name).chmod(0o755)

        install("dpkg-deb", f'[ -f "$2" ] && mkdir -p {FOLDER} && touch {FOLDER}/unpacked')
        return install

    def test_it_is_downloaded_and_unpacked(self, programs, work):
        programs("apt-get", f"touch {PACKAGE}_1_all.deb")
        assert (debian(work) / "unpacked").exists()
        calls = (work.parent / "apt-get.calls").read_text().splitlines()
        assert len(calls) == 1
        assert calls[0].endswith(f"download {PACKAGE}")

    def test_missing_lists_are_fetched_into_the_work_folder(self, programs, work):
        programs(
            "apt-get",
            f"""case "$*" in
                *Dir::State::Lists={work}/lists*update) touch lists/packages; exit 100 ;;
                *download*) if [ -f lists/packages ]; then touch {PACKAGE}_1_all.deb; exit 0; fi ;;
            esac
            echo 'E: Unable to locate package'; exit 100""",
        )
        assert (debian(work) / "unpacked").exists()
        words = [line.split() for line in (work.parent / "apt-get.calls").read_text().splitlines()]
        assert [line[-1] for line in words] == [PACKAGE, "update", PACKAGE]
        assert f"Dir::State::Lists={work}/lists" in words[2]

    @pytest.mark.parametrize(
        ("script", "reason"),
        [
            ('case "$*" in *update) echo "E: no archive answers" ;; esac; exit 100', "^no archive answers$"),
            ('case "$*" in *update) ;; *) echo "E: Unable to locate"; exit 100 ;; esac', "^Unable to locate$"),
        ],
    )
    def test_the_reason_is_the_first_cause(self, programs, work, script, reason):
        programs("apt-get", script)
        with pytest.raises(UnavailableError, match=reason):
            debian(work)

    def test_a_system_without_apt_is_reported(self, work, monkeypatch):
        monkeypatch.setenv("PATH", str(work))
        with pytest.raises(UnavailableError, match="apt-get cannot be started"):
            debian(work)
