"""The queue over the file system: whole messages, also while readers look."""

import multiprocessing
from queue import Empty

import pytest
from kombu import Connection
from kombu.exceptions import ChannelError

from enjoliver.common.filequeue import Transport

QUEUE = "work"
PAYLOAD = {"body": "x" * 20_000}


@pytest.fixture
def folder(tmp_path):
    for name in ("messages", "control"):
        (tmp_path / name).mkdir()
    return tmp_path


def channel(folder):
    return Connection(
        "filesystem://",
        transport=Transport,
        transport_options={
            "data_folder_in": str(folder / "messages"),
            "data_folder_out": str(folder / "messages"),
            "control_folder": str(folder / "control"),
        },
    ).channel()


def test_messages_come_in_their_order_and_once(folder):
    sender, receiver = channel(folder), channel(folder)
    for number in range(5):
        sender._put(QUEUE, {"number": number})
    sender._put("other", {})
    assert [receiver._get(QUEUE)["number"] for _ in range(5)] == list(range(5))
    with pytest.raises(Empty):
        receiver._get(QUEUE)
    assert receiver._size("other") == 1


def test_a_message_that_is_being_written_is_not_there_yet(folder):
    (folder / "messages" / f"1_x.{QUEUE}.msg.draft").write_text("")
    with pytest.raises(Empty):
        channel(folder)._get(QUEUE)


def test_a_broken_message_is_dropped_and_the_next_one_comes(folder, caplog):
    (folder / "messages" / f"{0:020}_x.{QUEUE}.msg").write_text("")
    receiver = channel(folder)
    receiver._put(QUEUE, {"number": 1})
    with pytest.raises(Empty):
        receiver._get(QUEUE)
    assert "broken message" in caplog.text
    assert receiver._get(QUEUE) == {"number": 1}


def test_a_folder_that_takes_nothing_is_an_error_of_the_broker(folder):
    sender = channel(folder)
    (folder / "messages").rmdir()
    with pytest.raises(ChannelError):
        sender._put(QUEUE, {})


def send_many(folder, count):
    sender = channel(folder)
    for _ in range(count):
        sender._put(QUEUE, PAYLOAD)


def test_no_reader_ever_sees_a_part_of_a_message(folder):
    senders = [
        multiprocessing.get_context("spawn").Process(target=send_many, args=(folder, 150))
        for _ in range(2)
    ]
    for sender in senders:
        sender.start()
    receiver, seen = channel(folder), 0
    while seen < 300:
        try:
            assert receiver._get(QUEUE) == PAYLOAD
            seen += 1
        except Empty:
            alive = any(sender.is_alive() for sender in senders)
            assert alive or receiver._size(QUEUE), "the rest never came"
    for sender in senders:
        sender.join()
