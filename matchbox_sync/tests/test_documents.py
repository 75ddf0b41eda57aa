"""Documents: found again by digest, small because they share their role's common part."""

import random

import pytest

from matchbox_sync.documents import load_document, sha512_of, store_documents
from matchbox_sync.models import Document

pytestmark = pytest.mark.django_db


def incompressible(size, seed=1):
    return random.Random(seed).randbytes(size)


def test_a_document_comes_back_byte_for_byte():
    body = b'{"ignition":{"version":"3.4.0"}}'
    store_documents({sha512_of(body): body})
    assert load_document(sha512_of(body)) == body


def test_ten_documents_of_60_kb_that_differ_in_a_line_cost_little_more_than_one():
    base = incompressible(60_000)
    store_documents({sha512_of(base): base})
    bodies = {}
    for number in range(10):
        body = base[:30_000] + f"machine-{number}".encode() + base[30_000:]
        bodies[sha512_of(body)] = body
    store_documents(bodies, base=sha512_of(base))
    rows = Document.objects.filter(base__isnull=False)
    assert rows.count() == 10
    assert sum(len(row.data) for row in rows) < 5_000
    assert all(load_document(digest) == body for digest, body in bodies.items())


def test_a_base_among_the_bodies_is_not_compressed_against_itself():
    base = incompressible(5_000)
    store_documents({sha512_of(base): base})
    Document.objects.all().delete()
    body = incompressible(5_000, seed=2)
    store_documents({sha512_of(body): body})
    store_documents({sha512_of(body): body}, base=sha512_of(body))
    assert load_document(sha512_of(body)) == body


def test_known_documents_are_left_alone(django_assert_num_queries):
    body = b"x" * 100
    store_documents({sha512_of(body): body})
    with django_assert_num_queries(1):
        store_documents({sha512_of(body): body})
