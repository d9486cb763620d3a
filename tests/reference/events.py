"""Writes events.tfevents, which test_export compares with: the metrics of events.jsonl, as TensorBoard's
own classes (2.21) write them. A checkout that has TensorBoard makes the same bytes."""
import json, os

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

here = os.path.dirname(os.path.abspath(__file__))


def events():
    yield Event(file_version="brain.Event:2")
    for line in open(os.path.join(here, "events.jsonl")):
        line = json.loads(line)
        values = [Summary.Value(tag=key, simple_value=value) for key, value in line.items()
                  if key != "step" and isinstance(value, (int, float)) and not isinstance(value, bool)]
        yield Event(step=line["step"], summary=Summary(value=values))


with open(os.path.join(here, "events.tfevents"), "wb") as file:
    writer = RecordWriter(file)
    for event in events():
        writer.write(event.SerializeToString())
