/* Fixed scheduler kernels that benchmarks are held against; no code of emul, and not to be changed.
 *
 * Each times the ring all-reduce of n ranks whose transfers all take as long: transfer t of step s
 * goes from rank t % n to the next one, and waits for what that rank was sent in the step before.
 */
#include <stdint.h>

/* In the order of the plan, from tables of senders, receivers, what is waited for and costs. Return
 * when the last one is done; ``done`` gets when each one is. */
int64_t bench_in_order(int64_t transfers, const int32_t *sender, const int32_t *receiver,
                       const int32_t *after, const int64_t *cost, int64_t *out_free,
                       int64_t *into_free, int64_t *done)
{
    int64_t last = 0;
    for (int64_t t = 0; t < transfers; t++) {
        int64_t *out = &out_free[sender[t]], *into = &into_free[receiver[t]];
        int64_t start = after[t] < 0 ? 0 : done[after[t]];
        start = start > *out ? start : *out;
        *out = start + cost[t];
        int64_t head = start > *into ? start : *into;
        *into = head + cost[t];
        done[t] = *into + 1000;
        last = last > done[t] ? last : done[t];
    }
    return last;
}

typedef struct {
    int64_t time, number;
} event;

static int before(event a, event b)
{
    return a.time < b.time || (a.time == b.time && a.number < b.number);
}

static void push(event *heap, int64_t size, event what)
{
    int64_t at = size;
    while (at > 0 && before(what, heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = what;
}

static event pop(event *heap, int64_t size)
{
    const event first = heap[0], moved = heap[size - 1];
    int64_t at = 0;
    for (int64_t child = 1; child < size - 1; child = 2 * at + 1) {
        child += child + 1 < size - 1 && before(heap[child + 1], heap[child]);
        if (!before(heap[child], moved))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
    return first;
}

/* The same by events in order of time, from a heap of at most n. Return when the last is done. */
int64_t bench_by_events(int64_t n, int64_t transfers, const int32_t *receiver, const int64_t *cost,
                        event *heap, int64_t *into_free, int64_t *done)
{
    int64_t size = 0, last = 0;
    for (int64_t t = 0; t < n; t++)
        push(heap, size++, (event){0, t});
    while (size > 0) {
        const event now = pop(heap, size--);
        const int64_t t = now.number, rank = receiver[t];
        const int64_t head = now.time > into_free[rank] ? now.time : into_free[rank];
        into_free[rank] = head + cost[t];
        done[t] = into_free[rank] + 1000;
        last = last > done[t] ? last : done[t];
        if (t + n < transfers)
            push(heap, size++, (event){done[t], t - t % n + n + rank});
    }
    return last;
}
