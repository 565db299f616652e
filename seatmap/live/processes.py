"""What the web processes of an event tell each other through Redis, once a second: their share of its pulse."""

import msgspec

from seatmap.connections import Redis
from seatmap.keys import processes
from seatmap.live.pulse import Told

EXPIRE_SECONDS = 5  # of all together, when no process tells anything any more
SILENT_READS_MAX = 4  # reads, a second apart, in which a process told nothing new: it is gone

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Told).decode


class Processes:
    """The processes of one event, as one of them sees them. `name` is this process's own among all."""

    def __init__(self, redis: Redis, event_id: int, name: str) -> None:
        self._redis = redis
        self._key = processes(event_id)
        self._name = name
        self._heard: dict[bytes, tuple[int, int]] = {}  # process → (its last beat, reads since)

    async def tell(self, told: Told) -> None:
        """Say what this process knows. Raises Unavailable."""
        async with self._redis.connection() as connection:
            # One after the other: if the first is refused, the answer to a second must not be left for somebody else.
            for words in (
                ("HSET", self._key, self._name, _encode(told)),
                ("EXPIRE", self._key, EXPIRE_SECONDS),
            ):
                await connection.send_command(*words)
                await connection.read_response()

    async def read(self) -> list[Told]:
        """What the living told last, by pid. Raises Unavailable."""
        flat: list[bytes] = await self._redis.command("HGETALL", self._key)
        told = {name: _decode(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}
        self._heard = {name: self._beat(name, one.beat) for name, one in told.items()}
        gone = [name for name, (_, silent) in self._heard.items() if silent >= SILENT_READS_MAX]
        if gone:
            await self._redis.command("HDEL", self._key, *gone)
        return sorted((one for name, one in told.items() if name not in gone), key=lambda one: one.pid)

    def _beat(self, name: bytes, beat: int) -> tuple[int, int]:
        before, silent = self._heard.get(name, (-1, 0))
        return (beat, silent + 1 if beat == before else 0)
