"""Messages as a stack sends them, slowly: for each, its question, its answer and its data.

Shares no code with emul.timing.protocol.
"""

from collections import defaultdict

from reference import Transfer, lengths_of, message_bytes, rows_of, transfers_of


def steps_of(plan, width, itemsize):
    """The numbers of the messages of each step that carries any."""
    lengths, number, begun, found = lengths_of(plan, width), 0, 0, []
    for step in plan.steps():
        rows = rows_of(step, lengths, number)
        number += len(step)
        messages = len(list(message_bytes(rows, lengths, itemsize)))
        if messages:
            found.append(range(begun, begun + messages))
            begun += messages
    return found


def behind(plan, found, steps):
    """Of each message, what its sender has behind it, and its receiver, in lockstep.

    Each rank's last incoming and outgoing messages of the step ``under_way`` before count; before a
    step that drains, those of all lanes.
    """
    came, sent = defaultdict(list), defaultdict(list)
    first = {}
    for message, transfer in enumerate(found):
        first[message] = (transfer.src, transfer.dst)
    senders, receivers, chains = {}, {}, {}
    drains = set(plan.drains)
    for number, messages in enumerate(steps):
        lane = number % plan.under_way
        lanes = range(plan.under_way) if number in drains else [lane]
        for message in messages:
            src, dst = first[message]
            receivers[message] = ends(came, sent, dst, lanes)
        for message in messages:
            src, _ = first[message]
            senders[message] = ends(came, sent, src, lanes)
            sent[src, lane] = [message]
        brought = defaultdict(list)
        for message in messages:
            chains[message] = brought[first[message][1]][-1:]
            brought[first[message][1]].append(message)
        for rank, those in brought.items():
            came[rank, lane] = those
    return senders, receivers, chains


def ends(came, sent, rank, lanes):
    """Messages that must be done, and messages that must be handed over."""
    done = [each for lane in lanes for each in came[rank, lane][-1:]]
    return done, [each for lane in lanes for each in sent[rank, lane]]


def wire_transfers(plan, width, itemsize, stack):
    """The transfers of ``plan`` as ``stack`` sends them: answers first, then message by message."""
    lockstep = plan.order == "lockstep"
    free = plan if not lockstep else unordered(plan)
    found = transfers_of(free, width, itemsize)
    steps = steps_of(plan, width, itemsize)
    nothing = {message: ([], []) for message in range(len(found))}
    senders, receivers, chains = nothing, nothing, {message: [] for message in range(len(found))}
    if lockstep:
        senders, receivers, chains = behind(plan, found, steps)
    shakes = [
        t.src != t.dst and (stack.handshake == "notice" or t.nbytes > stack.eager_bytes)
        for t in found
    ]
    answered = [m for m in range(len(found)) if shakes[m] and stack.handshake != "none"]
    answer = {m: i for i, m in enumerate(answered)}
    wire, ask, data = [None] * len(answered), {}, {}
    for m, t in enumerate(found):
        if m in answer and stack.handshake == "rendezvous":
            ask[m] = len(wire)
            wire.append(control(t.src, t.dst, t.channel, 0.0, stack))
        data[m] = len(wire)
        software = stack.constants
        wire.append(
            Transfer(
                t.src,
                t.dst,
                t.channel,
                m,
                nbytes=t.nbytes,
                host_ps=0 if t.src == t.dst else round(software.message_s * 1e12),
                completion_ps=round((software.completion_s + t.nbytes * software.byte_s) * 1e12),
            )
        )
    for m, i in answer.items():
        t = found[m]
        wire[i] = control(t.dst, t.src, t.channel, stack.constants.control_s, stack)
    for m, t in enumerate(found):
        begins = wire[ask.get(m, data[m])]
        done, handed = senders[m]
        begins.starts_upon_done |= {data[e] for e in [*t.starts_upon_done, *done]}
        begins.starts_upon_issue |= {data[e] for e in [*t.starts_upon_issue, *handed]}
        wire[data[m]].done_upon_done |= {data[e] for e in [*t.done_upon_done, *chains[m]]}
        wire[data[m]].done_upon_issue |= {data[e] for e in t.done_upon_issue}
        if m in ask:
            wire[answer[m]].starts_upon_done.add(ask[m])
        if m in answer:
            done, handed = receivers[m]
            wire[answer[m]].starts_upon_done |= {data[e] for e in done}
            wire[answer[m]].starts_upon_issue |= {data[e] for e in handed}
            wire[data[m]].starts_upon_done.add(answer[m])
    return wire


def control(src, dst, channel, host_s, stack):
    aside = 0 if stack.in_order else 100
    nbytes, host_ps = stack.control_bytes, round(host_s * 1e12)
    return Transfer(src, dst, channel + aside, -1, nbytes, begins=False, host_ps=host_ps)


def unordered(plan):
    """The same plan without its order."""
    from dataclasses import replace

    return replace(plan, order="free", under_way=1, drains=())
