"""What a worker signs by itself: releases where the hub keeps the key, and the hub's own word."""

from dataclasses import replace
from datetime import timedelta

import pytest
from securesystemslib.signer import CryptoSigner

from entrepot.assembly import Hub
from entrepot.core.catalogue import find_product, withdraw_release
from entrepot.core.manifests import signed_state
from entrepot.core.manifests.online import keep_key
from entrepot.core.manifests.papers import sign_paper
from entrepot.core.manifests.roots import RootSpec, install_root, prepare_root
from entrepot.worker.schedule import Schedule
from tests import factories
from tests.factories import OPERATOR


def _schedule(hub: Hub) -> Schedule:
    return Schedule(hub, eldest=lambda: True, pause=lambda _: None)


def _versions(hub: Hub, product: str) -> dict[str, int]:
    with hub.database.read() as tx:
        return signed_state(tx, find_product(tx, product).id).versions


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_a_worker_signs_and_renews(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    key, lives = CryptoSigner.generate_ed25519(), hub.policy.manifest_lives
    with hub.database.write() as tx:
        code = factories.add_product(tx)
        release = factories.add_release(tx, code)
        spec = RootSpec([key.public_key], [key.public_key])
        paper = prepare_root(tx, hub.keys.box, code, spec, now=hub.now())
        sign_paper(paper, [key])
        install_root(tx, hub.keys.box, paper, lives=lives, actor=OPERATOR, now=hub.now())
    schedule = _schedule(hub)
    schedule.sign_published()
    assert _versions(hub, code) == {"root": 1}  # the hub was given no key
    with hub.database.write() as tx:
        number = find_product(tx, code).id
        keep_key(tx, hub.keys.box, number, "targets", key, now=hub.now())
    schedule.sign_published()
    signed = {"root": 1, "targets": 1, "snapshot": 1, "timestamp": 1}
    assert _versions(hub, code) == signed
    schedule.renew_manifests()
    schedule.fill_in_chunks()
    assert _versions(hub, code) == signed
    with hub.database.write() as tx:
        withdraw_release(tx, release.id, actor=OPERATOR, now=hub.now() + timedelta(seconds=1))
    schedule.sign_published()
    assert _versions(hub, code)["targets"] == 2

    later = replace(hub, now=lambda: factories.NOW + timedelta(days=100_000))
    late = _schedule(later)
    late.renew_manifests()
    found = _versions(hub, code)
    assert (found["snapshot"], found["timestamp"]) == (3, 3)
    late.warn_of_expiry()
    assert "metadata has to be signed anew" in caplog.text
