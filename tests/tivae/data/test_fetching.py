"""The two downloads and the command runner below them; no test here needs a network."""

import os
import select

import pytest

from tivae.data.fetching import DEBIAN_FOLDER, DEBIAN_PACKAGE, UnavailableError, debian_package, run, torchvision


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

    def test_a_silent_command_is_ended_with_its_children(self, tmp_path):
        os.mkfifo(tmp_path / "held")
        held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(UnavailableError, match=r"no answer within 0\.5 s"):
            run(["sh", "-c", "sleep 60 > held & wait"], tmp_path, silent_seconds=0.5)
        # The pipe reads as closed once nobody that could write to it is left.
        readable, _, _ = select.select([held], [], [], 10)
        assert readable
        assert os.read(held, 1) == b""
        os.close(held)

    def test_a_slow_command_that_goes_on_is_left_alone(self, tmp_path):
        script = "for part in 1 2 3 4 5 6; do echo $part >> parts; sleep 0.3; done"
        run(["sh", "-c", script], tmp_path, silent_seconds=1.5)
        assert (tmp_path / "parts").read_text().split() == list("123456")

    def test_nothing_reaches_the_console(self, tmp_path, capfd):
        run(["sh", "-c", "echo out; echo err >&2"], tmp_path)
        assert capfd.readouterr() == ("", "")


class TestTorchvision:
    def test_an_unreachable_mirror_is_given_up_quietly(self, tmp_path, monkeypatch, capfd):
        # Nothing listens at the proxy, so that this holds with and without a network.
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(UnavailableError, match="Connection refused"):
            torchvision(tmp_path)
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

        install("dpkg-deb", f'[ -f "$2" ] && mkdir -p {DEBIAN_FOLDER} && touch {DEBIAN_FOLDER}/unpacked')
        return install

    @pytest.fixture
    def work(self, tmp_path):
        (tmp_path / "work").mkdir()
        return tmp_path / "work"

    def test_it_is_downloaded_and_unpacked(self, programs, work):
        programs("apt-get", f"touch {DEBIAN_PACKAGE}_1_all.deb")
        assert (debian_package(work) / "unpacked").exists()
        calls = (work.parent / "apt-get.calls").read_text().splitlines()
        assert len(calls) == 1
        assert calls[0].endswith(f"download {DEBIAN_PACKAGE}")

    def test_missing_lists_are_fetched_into_the_work_folder(self, programs, work):
        programs(
            "apt-get",
            f"""case "$*" in
                *Dir::State::Lists={work}/lists*update) touch lists/packages; exit 100 ;;
                *download*) if [ -f lists/packages ]; then touch {DEBIAN_PACKAGE}_1_all.deb; exit 0; fi ;;
            esac
            echo 'E: Unable to locate package'; exit 100""",
        )
        assert (debian_package(work) / "unpacked").exists()
        words = [line.split() for line in (work.parent / "apt-get.calls").read_text().splitlines()]
        assert [line[-1] for line in words] == [DEBIAN_PACKAGE, "update", DEBIAN_PACKAGE]
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
            debian_package(work)

    def test_a_system_without_apt_is_told(self, work, monkeypatch):
        monkeypatch.setenv("PATH", str(work))
        with pytest.raises(UnavailableError, match="apt-get cannot be started"):
            debian_package(work)
