"""Masks secrets in a record before it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from rebake.history.evidence import Evidence
from rebake.history.records import BuildRecord, FileDigest, ImageRecord, keyed_digest
from rebake.redact import Redactor


class Cleaner:
    """Masks secrets in whole records.

    Args:
        redactor: masks the secret values that it knows, wherever they stand.
        key: the database's key for digests of values whose names sound secret.
    """

    def __init__(self, redactor: Redactor, key: bytes) -> None:
        self._text = redactor.text
        self._key = key

    def build(self, build: BuildRecord) -> BuildRecord:
        """Return the record with every text masked."""
        text = self._text
        return replace(
            build,
            project=text(build.project),
            worktree=text(build.worktree),
            targets=tuple(map(text, build.targets)),
            skipped=text(build.skipped),
            engine=self._plain(build.engine),
            arguments=self._named(build.arguments),
            settings=self._named(build.settings),
            base_images=self._plain(build.base_images),
            steps=tuple(
                replace(
                    s,
                    name=text(s.name),
                    stage=text(s.stage),
                    target=text(s.target),
                    error=text(s.error),
                )
                for s in build.steps
            ),
            images=tuple(self._image(image) for image in build.images),
            inputs={text(name): self._files(files) for name, files in build.inputs.items()},
            evidence=None if build.evidence is None else self._evidence(build.evidence),
        )

    def settings(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return settings as they stand in a masked record."""
        return self._named(settings)

    def _evidence(self, evidence: Evidence) -> Evidence:
        return replace(
            evidence,
            settings=self._named(evidence.settings),
            targets={
                self._text(name): replace(
                    target,
                    arguments=self._named(target.arguments),
                    contexts=self._plain(target.contexts),
                )
                for name, target in evidence.targets.items()
            },
            facts={
                digest: facts if facts.text is None else replace(facts, text=self._text(facts.text))
                for digest, facts in evidence.facts.items()
            },
        )

    def _image(self, image: ImageRecord) -> ImageRecord:
        layers = tuple(replace(x, created_by=self._text(x.created_by)) for x in image.layers)
        return replace(
            image, service=self._text(image.service), ref=self._text(image.ref), layers=layers
        )

    def _plain(self, values: Mapping[str, str]) -> dict[str, str]:
        return {self._text(name): self._text(value) for name, value in values.items()}

    def _named(self, values: Mapping[str, str]) -> dict[str, str]:
        return {
            self._text(name): keyed_digest(self._key, value)
            if _sounds_secret(name)
            else self._text(value)
            for name, value in values.items()
        }

    def _files(self, files: Iterable[FileDigest]) -> tuple[FileDigest, ...]:
        files = tuple(files)
        joined = "\n".join(file.path for file in files)
        if self._text(joined) == joined:  # once for all: they are many
            return files
        return tuple(replace(file, path=self._text(file.path)) for file in files)


def _sounds_secret(name: str) -> bool:
    probe = "a value of some length"
    return Redactor.from_environment({name: probe}).text(probe) != probe
