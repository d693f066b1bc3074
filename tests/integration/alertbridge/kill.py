#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the bridge before or after each of its calls that change the disk or speak
with the network, from the first webhook to the last mark: what was acknowledged is not
lost, PagerDuty has at most one incident a key, and Slack's bot posts nothing twice.

usage: kill.py BRIDGE FAULTS [POINTS]

POINTS (40) are spread evenly over those that a run has, 1,500 and more. Each is a run of its
own: webhooks until the kill, a new start, the webhooks that were not acknowledged once
more as Alertmanager would, and what the far sides have then.
"""
import concurrent.futures
import multiprocessing
import sys

import bridge

PROGRAM, LIBRARY = sys.argv[1:3]
POINTS = int(sys.argv[3]) if sys.argv[3:] else 40
WORKERS = 3

CONFIG = """
route:
  receiver: hook
  routes:
    - {receiver: pager, matchers: ['severity="critical"'], continue: true}
    - {receiver: bot-1, matchers: ['team="one"']}
    - {receiver: bot-2, matchers: ['team="two"']}
    - {receiver: hook}
receivers:
  - name: hook
    slack_configs: [{api_url: 'http://127.0.0.1:%(port)d/hook', send_resolved: false}]
  - name: pager
    pagerduty_configs:
      - {routing_key: k, url: 'http://127.0.0.1:%(port)d/v2/enqueue'}
  - name: bot-1
    slack_configs: [{api_url: 'http://127.0.0.1:%(port)d/api', bot_token: t, channel: C1}]
  - name: bot-2
    slack_configs: [{api_url: 'http://127.0.0.1:%(port)d/api', bot_token: t, channel: C2,
                     send_resolved: true}]
"""

# Alone, then many at once (the journal), then ends. A step is what is sent together.
STEPS = [
    [bridge.webhook([bridge.alert(1, team="one")])],
    [bridge.webhook([bridge.alert(2, team="two")])],
    [bridge.webhook([bridge.alert(n)]) for n in range(10, 22)],
    [bridge.webhook([bridge.alert(n) for n in range(30, 34)], "crowd")],
    [bridge.webhook([bridge.alert(2, team="two", status="resolved")]),
     bridge.webhook([bridge.alert(10, status="resolved")])],
    [bridge.webhook([bridge.alert(n, status="resolved") for n in (30, 31)]
                    + [bridge.alert(n) for n in (32, 33)], "crowd")],
    [bridge.webhook([bridge.alert(n)]) for n in range(11, 17)],  # repeats
]
FIRED = {"host-%d" % n for n in [1, 2, *range(10, 22), *range(30, 34)]}
OPEN = FIRED - {"host-2", "host-10", "host-30", "host-31"}


class Run:
    def __init__(self, far, pool):
        self.far, self.pool = far, pool
        self.bridge = bridge.Bridge(PROGRAM, CONFIG % {"port": far.port}, LIBRARY, "clew-kill-")
        self.doubles = 0

    def play(self, steps):
        """Sends the steps; the rest from the step that was not acknowledged on."""
        for i, step in enumerate(steps):
            unsent = [b for b, status in zip(step, self.pool.map(self.bridge.post, step))
                      if status != 200]
            if unsent:
                return [unsent] + steps[i + 1:]
        return []

    def once(self, kill_at, after):
        """One point; whether it was reached."""
        self.far.clear()
        self.bridge.faults.set(kill_at, after)
        rest = STEPS
        if self.bridge.start():
            rest = self.play(STEPS)
            if not rest:
                bridge.wait_for("the end", self.is_over, 60)
        reached = self.bridge.process.poll() is not None
        self.bridge.stop(bridge.signal.SIGKILL)
        assert self.bridge.start(faulty=False), self.bridge.text("out")
        rest = self.play(rest)
        assert not rest, "not taken after the start: %s" % rest
        self.bridge.settle(60)
        self.check(self.bridge.alerts())
        assert self.bridge.stop() == 0
        return reached

    def is_over(self):
        if self.bridge.process.poll() is not None:
            return True
        deliveries = self.bridge.deliveries()
        return deliveries and all(d["state"] != "queued" for d in deliveries)

    def check(self, alerts):
        far = self.far
        assert {i for i, status in alerts.items() if status == "firing"} == OPEN, alerts
        assert far.triggered() == FIRED, "no incident: %s" % (FIRED - far.triggered())
        assert far.open_now() == OPEN, "open: %s" % (far.open_now() ^ OPEN)
        assert max(far.opened.values()) == 1, "an incident was opened twice: %s" % far.opened
        assert len(far.opened) == len(FIRED)
        told = {i for message in far.hooks for i in message}
        wanted = FIRED - {"host-1", "host-2"}
        assert wanted <= told, "not in Slack: %s" % (wanted - told)
        self.doubles += len(far.hooks) > 13
        keys = [m["key"] for m in far.messages]
        assert len(keys) == len(set(keys)), "the bot posted twice"
        roots = [m["channel"] for m in far.messages if not m["thread"]]
        assert sorted(roots) == ["C1", "C2"], roots


def begin():
    """In each worker: the far sides and the senders of its runs."""
    global FAR, POOL
    FAR, POOL = bridge.Far(), concurrent.futures.ThreadPoolExecutor(12)


def run(point):
    """(reached, doubles, calls) of one point; the reason when something is wrong."""
    one = Run(FAR, POOL)
    try:
        reached = one.once(*point)
        return reached, one.doubles, one.bridge.faults.calls(), None
    except AssertionError as e:
        return False, 0, 0, "%s call %d: %s\n%s%s" % (
            "after" if point[1] else "before", point[0], e, one.bridge.text()[-4000:],
            one.bridge.text("out"))
    finally:
        one.bridge.remove()


def spread(calls):
    every = [(n, after) for n in range(1, calls + 1) for after in (False, True)]
    return [every[i * len(every) // POINTS] for i in range(min(POINTS, len(every)))]


def main():
    with multiprocessing.Pool(WORKERS, begin) as workers:
        _, _, calls, wrong = workers.apply(run, ((0, False),))
        assert not wrong, wrong
        results = []
        for result in workers.imap_unordered(run, spread(calls)):
            assert not result[3], result[3]
            results.append(result)
    reached = sum(r[0] for r in results)
    print("%d calls; killed at %d points, nothing was lost or opened twice; the incoming webhook of"
          " Slack, which cannot know, showed something twice %d times"
          % (calls, reached, sum(r[1] for r in results)))
    assert reached >= min(POINTS, 2 * calls) * 3 // 4, "too few points"


if __name__ == "__main__":
    main()
