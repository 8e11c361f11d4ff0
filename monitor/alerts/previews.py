"""The messages of live pictures, on the scores socket: sent only while somebody looks, never stored, never repeated.

A client asks for them with ``Look`` on the control socket, and subscribes to their topic. Who does not keep up loses
pictures, not time: at most ``MOST_WAITING_BYTES`` wait for one client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import PositiveInt, ValidationError

from monitor.alerts.message_parts import RECEIVED, Camera, Measured
from monitor.alerts.messages import Envelope, MalformedError
from monitor.errors import first_problem

LEASE_S = 10.0
"""A client that looks asks again within this time, seconds; then the pictures end."""
MOST_WAITING_BYTES = 262_144
"""With more than this waiting for a client, it gets no further picture."""

Kind = Literal["picture", "heat"]
"""The picture as it is, or with heat where it is abnormal."""


class PreviewMessage(Envelope):
    """A picture of a camera now, as JPEG in the third part. Topic ``preview/<camera>/<kind>/``.

    seq            pictures that were lost on the way leave a gap
    captured_at    when the frame was read, unix seconds
    width, height  of the JPEG, pixels
    score          the score of the frame; None if it was not judged
    """

    camera: Camera
    kind: Kind
    captured_at: float
    width: PositiveInt
    height: PositiveInt
    score: Measured = None

    @property
    def topic(self) -> str:
        """``preview/<camera>/<kind>/``."""
        return preview_topic(self.camera, self.kind)


@dataclass(frozen=True, slots=True)
class Preview:
    """A received picture. jpeg: its bytes."""

    message: PreviewMessage
    jpeg: bytes


def preview_topic(camera: str, kind: Kind) -> str:
    """The topic of a camera's pictures."""
    return f"preview/{camera}/{kind}/"


def decode_preview(parts: Sequence[bytes]) -> Preview:
    """Decode the parts of a received picture. Raises MalformedError."""
    if len(parts) < 3 or not parts[2].startswith(b"\xff\xd8"):
        raise MalformedError("expected a topic, a body and a JPEG")
    try:
        message = PreviewMessage.model_validate_json(parts[1], context=RECEIVED)
    except ValidationError as error:
        raise MalformedError(f"a preview: {': '.join(filter(None, first_problem(error)))}") from None
    if message.topic.encode() != parts[0]:
        raise MalformedError(f"the body belongs to topic {message.topic}")
    return Preview(message, parts[2])
