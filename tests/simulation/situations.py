"""What a set of seeds must have met, or it has tested little: name -> what it is. Counted with `World.meet`."""

from __future__ import annotations

SITUATIONS = {
    "last in-sync replica restarts": "the only member of an ISR comes back and was not stopped cleanly",
    "suspects compared": "a leader is found by comparing log ends",
    "committed records lost by one": "a disk loses records that were committed",
    "wiped while registered": "a disk is wiped while its broker is in an ISR",
    "ISR change under way at a fail-over": "a controller is elected while a leader waits for an answer to its proposal",
    "ISR change cut short": "a new leader epoch finds a proposal under way",
    "expansion refused": "the controller refuses a member of a proposed ISR",
    "uncommitted records cut": "a follower drops records that only an old leader had",
    "cut in two steps": "a follower cuts a second time under the same leader epoch",
    "deposed leader appends": "a leader that was replaced appends a record",
    "deposed leader is told": "a fetch comes with another leader epoch",
    "new leader lags behind what is committed": "a leader begins with a high watermark below what is committed",
    "zombie controller refused": "a write of a controller that was replaced is refused",
    "order of an old controller refused": "a broker answers STALE_CONTROLLER_EPOCH",
    "order for an old life refused": "a broker answers STALE_BROKER_EPOCH",
    "answer to an election lost": "the reply to a winning multi is lost",
    "answer to a state lost": "the reply to a write of a partition's state is lost",
    "stale read": "a read is answered by a server that lags",
    "session expires": "a session that holds an ephemeral times out, or is ended",
    "repeat recognised": "a batch that was appended is sent again and answered with its first place",
    "leader moved by a controlled stop": "a broker that is told to stop hands a partition over",
    "offset read from another coordinator": "by a group, after its coordinator has moved",
    "offset of an earlier topic not read": "a group asks for its offset after the topic was made anew",
    "membership outlives its coordinator": "a member goes on in its generation under another coordinator",
    "commit of an old generation refused": "a member commits that was not waited for, or is taken for dead",
    "static member takes its place over": "a member with an instance id is back, and nobody has to join again",
    "stray set aside": "a broker has a log of a topic that is gone when it is to have one of another by that name",
    "presumed dead": "a broker's death is noticed before its session ends",
}
