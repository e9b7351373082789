"""The part `attestations` of a scan: what images must come with, by `sign.attestations`.

No setting asks for anything by default: builds on the way are fast because nothing is attached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebake.engine.saved_image import attested_in
from rebake.scan.findings import Finding
from rebake.sign import sbom
from rebake.sign.attestations import lacks
from rebake.sign.signatures import folder_of

if TYPE_CHECKING:
    from rebake.project.project import Project
    from rebake.scan.workshop import Workshop


def check(project: Project, workshop: Workshop, ref: str) -> list[Finding]:
    """Return what an image lacks, a finding each.

    They are critical: whoever asks for an attestation by name means it at any limit.

    Raises:
        ScannerFailed: the engine does not have the image.
        Missing: there is no engine.
        UsageError: what the engine saved can't be read.
    """
    attested = attested_in(workshop.archive(ref))
    listed = sbom.listed(folder_of(project), attested.digests)
    return [
        Finding("image", f"image-{one.kind}", "critical", ref, f"it {one.words}", one.fix)
        for one in lacks(project.config.sign.attestations, attested, listed=listed)
    ]
