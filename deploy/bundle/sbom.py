"""The bill of materials of a bundle (CycloneDX JSON), made of its manifest alone.

Neither times nor random numbers are in it, so the same manifest has the same bill. It cannot name the bundle's id,
since the id is the hash of a manifest that names the bill's hash: its serial number comes from all the rest of that.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from deploy.bundle.audit import PROPERTY_PREFIX, board_libraries, needed_components
from deploy.bundle.manifest import LICENCES_FOLDER, BundleFile, Manifest, PackagedFiles, PinnedSource, SourceRecipe
from recipes.sources.lock import Lock
from recipes.sources.patches import DistributionPatches
from recipes.stage.manifest import StagedRecipe, StageManifest

if TYPE_CHECKING:
    from cyclonedx.model import ExternalReference, Property
    from cyclonedx.model.component import Component, Pedigree
    from packageurl import PackageURL

_RELEASES: Final = {"bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14"}
"""Debian's code names and numbers; https://www.debian.org/releases/"""
PACKAGES_FOLDER = "packages/"
"""Before the names of packages among the licences: a recipe may have the same name."""


def source_recipes(staged: StageManifest, pins: Lock) -> tuple[SourceRecipe, ...]:
    """Return what a Stage was built from: the commits and hashes that it recorded, with the lock's addresses."""
    return tuple(
        SourceRecipe(
            name=recipe.name,
            version=recipe.version,
            licence=recipe.licence,
            pins=_pinned(recipe, pins),
            variants=recipe.variants,
            patches=recipe.patches,
            distribution=recipe.distribution,
        )
        for recipe in staged.recipes
    )


def _pinned(recipe: StagedRecipe, pins: Lock) -> tuple[PinnedSource, ...]:
    known = {pin.name: pin for pin in pins.pins}
    found = []
    for name in sorted(recipe.pins, key=lambda name: (name != recipe.source, name)):
        pin = known.get(name)
        version, url = (pin.version, pin.url) if pin else ("", "")
        found.append(PinnedSource(name=name, version=version, url=url, digest=recipe.pins[name]))
    return tuple(found)


def licence_texts(manifest: Manifest, notices: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return one file a recipe and package: its SPDX expression, its sources, and the authors' own text if it is here.

    Parameters
    ----------
    notices:
        The texts, by name of a recipe, or `packages/` and the name of a package.
    """
    texts = {}
    for source in manifest.sources:
        lines = [f"{source.name} {source.version}", f"SPDX-License-Identifier: {source.licence}"]
        lines += [f"Source: {' '.join(filter(None, (pin.name, pin.digest, pin.url)))}" for pin in source.pins]
        lines += [f"Changed by: {name} {digest}" for name, digest in sorted(source.patches.items())]
        if source.distribution is not None:
            lines += [f"Changed by: {patch.name} {patch.sha256}" for patch in source.distribution.patches]
        texts[source.name] = "\n".join([*lines, "", ""]).encode()
    for package in manifest.packages:
        lines = [f"{package.kind} {package.name} {package.version} {package.arch} {package.suite} {package.digest}"]
        lines += (
            [f"SPDX-License-Identifier: {package.licence}"] if package.licence else ["Its licence is not known here."]
        )
        lines += [f"Source: {package.source}"] if package.source else []
        texts[f"{PACKAGES_FOLDER}{package.name}"] = "\n".join([*lines, "", ""]).encode()
    names = sorted({*texts, *notices})
    return {f"{LICENCES_FOLDER}{name}.txt": texts.get(name, b"") + notices.get(name, b"") for name in names}


def make_sbom(manifest: Manifest) -> bytes:
    """Make the bill of a manifest whose `sbom` is not set yet."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot7

    seed = hashlib.sha256(manifest.model_copy(update={"sbom": ""}).canonical()).hexdigest()
    root = Component(
        name=f"bundle for {manifest.board}",
        type=ComponentType.FIRMWARE,
        bom_ref="bundle",
        properties=_properties({"board": manifest.board, "arch": manifest.arch}),
    )
    bill = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"boardcast:{seed}"))
    bill.metadata.component = root
    owners = {path: package.name for package in manifest.packages for path in package.files}
    files = [_of_file(file.path, file.sha256, _facts(file, owners.get(file.path, ""))) for file in manifest.files]
    texts = [_of_file(name, digest, {}) for name, digest in sorted(manifest.licences.items())]
    recipes = [_of_recipe(source) for source in manifest.sources]
    packages = [_of_package(package) for package in manifest.packages]
    board = [_of_board(name, path, manifest) for name, path in sorted(board_libraries(manifest).items())]
    for component in (*files, *texts, *recipes, *packages, *board):
        bill.components.add(component)
    bill.register_dependency(root, [*files, *texts, *recipes, *packages])
    known = {str(component.bom_ref): component for component in (*files, *board)}
    for file, component in zip(manifest.files, files, strict=True):
        targets = {ref for name in file.needed for ref in needed_components(manifest, file.path, name)}
        bill.register_dependency(component, [known[ref] for ref in sorted(targets & known.keys())])
    bill_of = json.loads(JsonV1Dot7(bill).output_as_string())
    # The format does not ask for a time, and the one of the build would make every bundle another one.
    del bill_of["metadata"]["timestamp"]
    return json.dumps(bill_of, indent=1, sort_keys=True).encode() + b"\n"


def _of_file(path: str, digest: str, facts: Mapping[str, str]) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name=path,
        type=ComponentType.FILE,
        bom_ref=f"file:{path}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        properties=_properties(facts),
    )


def _facts(file: BundleFile, owner: str) -> dict[str, str]:
    return {"origin": file.origin or "written by Boardcast", "needed": " ".join(file.needed), "package": owner}


def _of_recipe(source: SourceRecipe) -> Component:
    """Describe what was built of a recipe.

    What the distribution's patches were applied to goes by its source package's name and version: scanners compare
    these with the distribution's own advisories, which know what its patches fix. Upstream's release is the ancestor.
    """
    facts = {f"patch:{name}": digest for name, digest in source.patches.items()}
    facts |= {"variants": " ".join(source.variants)}
    made = _of_source(source, facts)
    if (patched := source.distribution) is None:
        return made
    made.pedigree = _pedigree(patched, _of_source(source, {}, ref=f"upstream:{source.name}"))
    made.name, made.version = patched.package, patched.version
    made.purl = _debian_purl(patched.package, patched.version, "source", patched.suite)
    facts |= {f"source-patch:{patch.name}": patch.sha256 for patch in patched.patches}
    facts |= {f"left-out:{left.patch}": left.because for left in patched.without}
    made.properties = _properties(facts | {"recipe": source.name, "source-package": patched.sha256})
    return made


def _pedigree(patched: DistributionPatches, upstream: Component) -> Pedigree:
    from cyclonedx.model import XsUri
    from cyclonedx.model.component import Diff, Patch, PatchClassification, Pedigree
    from cyclonedx.model.issue import IssueClassification, IssueType

    return Pedigree(
        ancestors=[upstream],
        patches=[
            Patch(
                type=PatchClassification.BACKPORT if patch.cves else PatchClassification.UNOFFICIAL,
                diff=Diff(url=XsUri(f"{patched.archive}#debian/patches/{patch.name}")),
                resolves=[IssueType(type=IssueClassification.SECURITY, id=cve) for cve in patch.cves],
            )
            for patch in patched.patches
        ],
        notes=f"{patched.archive} of {patched.suite}, sha256 {patched.sha256}",
    )


def _debian_purl(name: str, version: str, arch: str, suite: str, upstream: str = "") -> PackageURL:
    from packageurl import PackageURL

    # As scanners write and read it: https://github.com/anchore/grype, https://github.com/aquasecurity/trivy
    qualifiers = {"arch": arch, "distro": f"debian-{_RELEASES.get(suite, suite)}" if suite else ""}
    qualifiers |= {"upstream": upstream} if upstream != name else {}
    return PackageURL(type="deb", namespace="debian", name=name, version=version, qualifiers=qualifiers)


def _of_source(source: SourceRecipe, facts: Mapping[str, str], *, ref: str = "") -> Component:
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import LicenseExpression

    return Component(
        name=source.name,
        version=source.version,
        type=ComponentType.LIBRARY,
        bom_ref=ref or f"recipe:{source.name}",
        licenses=[LicenseExpression(source.licence)],
        purl=_purl(source.pins[0], source) if source.pins else None,
        external_references=[_reference(pin) for pin in source.pins if pin.url],
        properties=_properties(facts),
    )


def _of_package(package: PackagedFiles) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import LicenseExpression

    source, _, version = package.source.partition(" ")
    # Advisories are about source packages, of which a package seldom has the name.
    upstream = source if version in ("", package.version) else f"{source}@{version}"
    purl = _debian_purl(package.name, package.version, package.arch, package.suite, upstream)
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"package:{package.name}",
        licenses=[LicenseExpression(package.licence)] if package.licence else [],
        purl=purl if package.kind == "deb" else None,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=package.digest)] if package.digest else [],
        properties=_properties({"kind": package.kind, "source": package.source, "files": " ".join(package.files)}),
    )


def _is_git(pin: PinnedSource) -> bool:
    return len(pin.digest) == 40


def _purl(pin: PinnedSource, source: SourceRecipe) -> PackageURL:
    from packageurl import PackageURL

    if _is_git(pin) and pin.url.startswith("https://github.com/"):
        owner, name = pin.url.removeprefix("https://github.com/").removesuffix(".git").lower().split("/")
        return PackageURL(type="github", namespace=owner, name=name, version=pin.digest)
    facts = {"vcs_url": f"git+{pin.url}@{pin.digest}"} if _is_git(pin) else {"checksum": f"sha256:{pin.digest}"}
    if pin.url and not _is_git(pin):
        facts["download_url"] = pin.url
    return PackageURL(type="generic", name=source.name, version=source.version, qualifiers=facts)


def _reference(pin: PinnedSource) -> ExternalReference:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri

    if _is_git(pin):
        comment = f"{pin.name} {pin.version}, commit {pin.digest}"
        return ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(pin.url), comment=comment)
    return ExternalReference(
        type=ExternalReferenceType.SOURCE_DISTRIBUTION,
        url=XsUri(pin.url),
        comment=f"{pin.name} {pin.version}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=pin.digest)],
    )


def _of_board(name: str, path: str, manifest: Manifest) -> Component:
    """Describe a library that the board brings: `isExternal` is the format's word for that, from version 1.7 on."""
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    proof = next((proof for proof in manifest.proofs if proof.library == name), None)
    identity = manifest.build_ids.get(path) or (proof.build_id if proof is not None else "")
    digest = proof.sha256 if proof is not None else ""
    return Component(
        name=name,
        type=ComponentType.LIBRARY,
        bom_ref=f"board:{name}",
        is_external=True,
        description=f"provided by board, {f'build id {identity}' if identity else 'it has no build id'}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)] if digest else [],
        properties=_properties({"provided-by": "board", "path": path, "build-id": identity}),
    )


def _properties(facts: Mapping[str, str]) -> list[Property]:
    from cyclonedx.model import Property

    return [Property(name=f"{PROPERTY_PREFIX}{name}", value=value) for name, value in sorted(facts.items()) if value]
