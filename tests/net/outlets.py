"""An outlet of another kind than the product's, as one for TLS would be: everything goes through the transport."""

from __future__ import annotations

from kafkalike.net.outlet import Outlet


class WritingOutlet(Outlet):
    """Writes one item, and waits until the transport has sent it."""

    def _send(self) -> bool:
        if not self.queue:
            return True
        item = self.queue.popleft()
        if isinstance(item, bytes):
            self.transport.write(item)
        else:
            self.transport.write(item.read())
            item.release()
        return False

    def _wait_for_room(self) -> None:
        """The transport calls resumeProducing when what was written is sent."""
