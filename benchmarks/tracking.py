"""What a tracking event costs, and how long a search takes.

python -m benchmarks.tracking
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bridgehead.control.trace import Search, search
from bridgehead.control.tracking import EventSink, SinkSettings
from bridgehead.core import queue_id
from bridgehead.core.tracking import Step, TrackingEvent

MESSAGES = 100_000


def events(number: int, now: float) -> tuple[TrackingEvent, TrackingEvent]:
    """The two events of a message that goes through at once."""
    written = queue_id.write((int(now * 1000) << 21) + (number << 8))
    return (
        TrackingEvent(
            ts=now,
            step=Step.RECEIVED,
            trace_id=f"{number:x}",
            queue_id=written,
            message_id=f"<{number}@contoso.com>",
            virtual_server="BRIDGE01/Default SMTP Virtual Server",
            client="192.0.2.7",
            sender=f"sender{number}@contoso.com",
            recipient=f"recipient{number}@fabrikam.com",
            recipients=1,
            size=4096,
        ),
        TrackingEvent(
            ts=now + 0.1,
            step=Step.DELIVERED,
            trace_id=f"{number:x}",
            queue_id=written,
            message_id=f"<{number}@contoso.com>",
            virtual_server="BRIDGE01/Default SMTP Virtual Server",
            sender=f"sender{number}@contoso.com",
            recipient=f"recipient{number}@fabrikam.com",
            connector="Internet via ISP",
            host="mx1.fabrikam.com[192.0.2.7]:25",
            tls="TLSv1.3 TLS_AES_256_GCM_SHA384 verified",
            code=250,
            enhanced="2.0.0",
            reply="OK queued as 12345",
            delay_ms=100,
        ),
    )


def main() -> None:
    """All measurements."""
    now = time.time() - MESSAGES / 5_000
    made = [event for number in range(MESSAGES) for event in events(number, now + number / 5_000)]
    with tempfile.TemporaryDirectory() as folder:
        sink = EventSink(Path(folder), 0, SinkSettings(json=True, descriptor=os.open("/dev/null", os.O_WRONLY)))
        cpu, emitting = time.process_time(), 0.0
        for start in range(0, len(made), 2_000):
            part = made[start : start + 2_000]
            started = time.thread_time()
            for event in part:
                sink.emit(event)
            emitting += time.thread_time() - started
            time.sleep(0.05)
        sink.close()
        cpu = time.process_time() - cpu
        print(f"emit {emitting / len(made) * 1e6:.2f} us, all {cpu / len(made) * 1e6:.1f} us an event")
        print(
            sink.statistics(),
            f"{(Path(folder) / 'tracking' / 'w0.db').stat().st_size / len(made):.0f} octets an event",
        )
        for wanted in (
            Search(recipient="recipient77@fabrikam.com"),
            Search(sender="sender5", recipient="nobody"),
            Search(message_id=made[5_000].queue_id),
            Search(since=time.time() - 2, text="contoso", limit=10),
        ):
            started = time.perf_counter()
            count = len(list(search(Path(folder), wanted)))
            print(f"{time.perf_counter() - started:.3f} s for {count} stories: {wanted}")


if __name__ == "__main__":
    main()
