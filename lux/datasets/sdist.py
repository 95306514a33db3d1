"""Fetch the source archive of a published Python package and believe it only when its checksum agrees.

pip fetches it, not pooch: pip knows the package index or mirror that this machine uses, pooch needs a fixed address.
"""

import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from lux.datasets.manifest import file_sha256
from lux.store.files import atomic_write

_FETCH_TIMEOUT_SECONDS = 600


@dataclasses.dataclass(frozen=True)
class SourceArchive:
    """The published archive of one package version.

    Parameters
    ----------
    package, version : str
        As pip names them.
    filename : str
        Name of the archive.
    size : int
        Bytes.
    sha256 : str
        Checksum, 64 hexadecimal digits.
    override : str
        Environment variable by which a user hands over an archive that is already on the machine.
    """

    package: str
    version: str
    filename: str
    size: int
    sha256: str
    override: str

    @property
    def requirement(self) -> str:
        """The package and version as pip reads it."""
        return f"{self.package}=={self.version}"

    @property
    def advice(self) -> str:
        """What a user does by hand where fetching fails."""
        return (
            f"fetch it by hand with `python -m pip download --no-deps --no-binary :all: {self.requirement}` where the "
            f"package index can be reached, then pass archive='{self.filename}' or set ${self.override} to its path"
        )


def obtain_archive(
    source: SourceArchive, *, archive: str | os.PathLike | None = None, cache: Path, progress: bool = True
) -> Path:
    """Return the path of a verified archive: the one handed over, else the cached one, else one fetched with pip.

    Parameters
    ----------
    source : SourceArchive
    archive : str or path, optional
        An archive on this machine; by default what the environment variable ``source.override`` names, if set.
    cache : path
        Folder that keeps a fetched archive.
    progress : bool
        Let pip draw its progress on stderr where that is a terminal.

    Raises
    ------
    FileNotFoundError
        If the archive handed over does not exist, or none can be fetched; the message says what to do.
    ValueError
        If the archive has another size or checksum than the published one.
    """
    archive = archive or os.environ.get(source.override)
    if archive:
        path = Path(archive).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"no archive at {path} (from archive= or ${source.override})")
        _verify_archive(path, source)
        return path
    path = Path(cache) / source.filename
    if path.is_file():
        try:
            _verify_archive(path, source)
            return path
        except ValueError:
            path.unlink()
    _fetch(source, path, progress)
    return path


def _verify_archive(path: Path, source: SourceArchive) -> None:
    """Raise ValueError unless the file has the published size and SHA-256 checksum."""
    size = path.stat().st_size
    if size != source.size:
        raise ValueError(f"{path} has {size} bytes where {source.size} were expected (truncated?); {source.advice}")
    digest = file_sha256(path)
    if digest != source.sha256:
        raise ValueError(f"{path} has SHA-256 {digest} where {source.sha256} was expected; {source.advice}")


def _fetch(source: SourceArchive, path: Path, progress: bool) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{source.package}-") as folder:
        requirement = Path(folder) / "requirement.txt"
        # With the hash in the requirement pip refuses a foreign archive before it runs anything inside it.
        requirement.write_text(f"{source.requirement} --hash=sha256:{source.sha256}\n")
        failure = _pip_download(requirement, Path(folder), progress)
        fetched = Path(folder) / source.filename
        if failure is not None or not fetched.is_file():
            raise FileNotFoundError(
                f"{source.filename} could not be fetched: {failure or 'pip left no such file'}\n{source.advice}"
            )
        _verify_archive(fetched, source)
        with atomic_write(path) as temporary:
            shutil.copyfile(fetched, temporary)


def _pip_download(requirement: Path, folder: Path, progress: bool) -> str | None:
    """Run pip; return None on success, else why it failed."""
    pip = _pip_command()
    if pip is None:
        return "pip is not installed here"
    options = "download --disable-pip-version-check --no-color --no-input --no-deps --no-binary :all:"
    options += " --timeout 15 --retries 2"
    command = [*pip, *options.split(), "--require-hashes", "--requirement", str(requirement), "--dest", str(folder)]
    visible = progress and sys.stderr is not None and sys.stderr.isatty()
    # A machine that reaches only a few packages may lack the isolated build that pip makes to read the metadata.
    reason = ""
    for extra in ([], ["--no-build-isolation"]) if importlib.util.find_spec("setuptools") else ([],):
        try:
            run = subprocess.run(
                [*command, *extra],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr if visible else subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                timeout=_FETCH_TIMEOUT_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if run.returncode == 0:
            return None
        reason = reason or "\n".join(run.stderr.strip().splitlines()[-3:]) or f"pip ended with {run.returncode}"
    return reason


def _pip_command() -> list[str] | None:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    program = shutil.which("pip3") or shutil.which("pip")
    return [program] if program else None
